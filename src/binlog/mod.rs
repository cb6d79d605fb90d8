//! Decoding of binlog events, sans-IO: bytes in, typed events out, no clock and no sockets.
//!
//! ```text
//!  Bytes (19-byte header, body, checksum)
//!    -> Decoder::decode        length and CRC32 checked, table maps kept until the end of their statement
//!    -> Event { header, body, bytes }
//!         Body::Rows(RowsEvent)  --rows()-->    RowCursor -> Row -> Image -> Cell   (slices, no allocation)
//!         Body::Payload(..)      --events()-->  PayloadReader -> Bytes -> Decoder::decode_inner
//! ```
//!
//! What is not understood is an error, never skipped: a bad length or checksum is `BadEvent`, a type without the
//! ignorable flag is `UnknownEvent`. No input makes this module panic or allocate more than a small multiple of the bytes
//! it was given (the output of a compressed payload excepted, which the caller caps).
//!
//! Formats are those of MySQL 5.6 to 9.7 (`libs/mysql/binlog/event` and `sql/log_event.cc` in the server's source; the
//! manual's "Replication Event" pages of the internals documentation).

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::cast_possible_truncation)
)]

mod bitmap;
mod checksum;
mod column;
mod compose;
mod control;
mod decimal;
mod decoder;
mod event;
mod format;
mod gtid;
pub mod kind;
mod load;
mod metadata;
mod numbers;
mod parse;
mod patch;
mod payload;
mod payload_stream;
mod query;
mod rows;
mod table_map;
mod tagged;
mod walk;

pub use bitmap::Bitmap;
pub use checksum::Checksum;
pub use column::{Column, ColumnType};
pub use compose::{Composer, RowUpdate};
pub use control::{Incident, IntVarKind, UserValue, UserValueKind, UserVar, XaPrepare, Xid};
pub use decimal::decimal_text;
pub use decoder::Decoder;
pub use event::{Body, Event, Header};
pub use format::FormatDescription;
pub use gtid::GtidEvent;
pub use load::{ExecuteLoadQuery, FileBlock, LoadDuplicates};
pub use metadata::KeyPart;
pub(crate) use numbers::ByNumber;
pub use patch::{rows_event_with_table_id, with_position};
pub use payload::{Compression, PayloadReader, TransactionPayload};
pub use payload_stream::PayloadStream;
pub use query::{QueryEvent, StatusVars, UpdatedDatabases};
pub use rows::{RowsEvent, RowsKind};
pub use table_map::TableMap;
pub use walk::{Cell, Cells, Image, Row, RowCursor};

#[cfg(test)]
mod tests;

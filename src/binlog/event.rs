//! An event: the common header, and the body as a type.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    ExecuteLoadQuery, FileBlock, FormatDescription, GtidEvent, Incident, IntVarKind, QueryEvent, RowsEvent,
    TableMap, TransactionPayload, UserVar, XaPrepare, kind,
};
use crate::error::{Code, Error, Result};
use crate::position::GtidSet;

/// The common header of every event, 19 bytes on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Seconds since the epoch on the source when the statement began; 0 in artificial events.
    pub timestamp: u32,
    /// Type code, see [`kind`].
    pub kind: u8,
    /// The server that first wrote the event.
    pub server_id: u32,
    /// Bytes of the whole event: header, body and checksum.
    pub event_size: u32,
    /// Where the event ends in its file, modulo 4 GiB; 0 in artificial events, meaningless inside a payload.
    pub end_position: u32,
    /// `LOG_EVENT_*_F` bits.
    pub flags: u16,
}

impl Header {
    /// Bytes of the header.
    pub const LEN: usize = 19;
    /// Offset of the flags within the header.
    pub(super) const FLAGS_AT: usize = 17;
    /// The binlog file is (or was, at a crash) being written; only in the format description.
    pub const IN_USE: u16 = 0x01;
    /// Made by the dump thread, not part of a file.
    pub const ARTIFICIAL: u16 = 0x20;
    /// May be ignored by who does not know it.
    pub const IGNORABLE: u16 = 0x80;

    /// Reads the header at the start of `raw`.
    ///
    /// # Errors
    /// `BadEvent` if there are fewer than 19 bytes.
    pub fn parse(raw: &[u8]) -> Result<Self> {
        let Some(&[t0, t1, t2, t3, kind, i0, i1, i2, i3, s0, s1, s2, s3, p0, p1, p2, p3, f0, f1]) =
            raw.first_chunk::<{ Self::LEN }>()
        else {
            return Err(Error::new(Code::BadEvent, format!("an event of {} bytes has no header", raw.len())));
        };
        Ok(Self {
            timestamp: u32::from_le_bytes([t0, t1, t2, t3]),
            kind,
            server_id: u32::from_le_bytes([i0, i1, i2, i3]),
            event_size: u32::from_le_bytes([s0, s1, s2, s3]),
            end_position: u32::from_le_bytes([p0, p1, p2, p3]),
            flags: u16::from_le_bytes([f0, f1]),
        })
    }

    /// The header as bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let [t0, t1, t2, t3] = self.timestamp.to_le_bytes();
        let [i0, i1, i2, i3] = self.server_id.to_le_bytes();
        let [s0, s1, s2, s3] = self.event_size.to_le_bytes();
        let [p0, p1, p2, p3] = self.end_position.to_le_bytes();
        let [f0, f1] = self.flags.to_le_bytes();
        [t0, t1, t2, t3, self.kind, i0, i1, i2, i3, s0, s1, s2, s3, p0, p1, p2, p3, f0, f1]
    }

    /// Made by the dump thread: it has no place in a file.
    pub const fn is_artificial(&self) -> bool {
        self.flags & Self::ARTIFICIAL != 0 || (self.timestamp == 0 && self.end_position == 0)
    }

    /// The type's name for messages.
    pub const fn name(&self) -> &'static str {
        kind::name(self.kind)
    }
}

/// One decoded event.
#[derive(Debug, Clone)]
pub struct Event {
    /// The common header as it came.
    pub header: Header,
    /// What the event says.
    pub body: Body,
    /// Header and body as they came, without the checksum (the header's size still counts it).
    pub bytes: Bytes,
}

/// What an event says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Body {
    /// The start of a file: versions, checksum algorithm.
    FormatDescription(FormatDescription),
    /// The next event is in another file. Artificial ones open each stream and file; they name where it starts.
    Rotate {
        /// The file that follows.
        file: Arc<str>,
        /// The offset there.
        offset: u64,
        /// Made by the dump thread.
        artificial: bool,
    },
    /// The source shut down in good order.
    Stop,
    /// All GTIDs in the files before this one.
    PreviousGtids(GtidSet),
    /// A transaction begins (GTID, anonymous and tagged alike).
    Gtid(GtidEvent),
    /// A statement, or `BEGIN`, `COMMIT`, `SAVEPOINT ..`, `XA ..`. Boxed: events are moved all the time, and
    /// a statement with its context is far larger than a body of any other kind.
    Query(Box<QueryEvent>),
    /// Commit of a transaction of a transactional engine.
    Xid(u64),
    /// `XA PREPARE`, or `XA COMMIT .. ONE PHASE`: ends the group.
    XaPrepare(XaPrepare),
    /// A table that rows events of this statement refer to.
    TableMap(Arc<TableMap>),
    /// Row images.
    Rows(RowsEvent),
    /// Ends a statement without rows: table maps are dropped (a rows event of table id 0xFFFFFF).
    RowsEnd,
    /// The text of the statement whose rows follow (`binlog_rows_query_log_events`).
    RowsQuery(Bytes),
    /// `LAST_INSERT_ID` or `INSERT_ID` of the statement that follows.
    IntVar {
        /// Which of the two.
        kind: IntVarKind,
        /// Its value.
        value: u64,
    },
    /// Seeds of `RAND()` in the statement that follows.
    Rand {
        /// `rand_seed1`.
        seed1: u64,
        /// `rand_seed2`.
        seed2: u64,
    },
    /// A user variable that the statement that follows reads.
    UserVar(UserVar),
    /// A whole transaction, compressed.
    Payload(TransactionPayload),
    /// The source lives and has got to here.
    Heartbeat {
        /// The file.
        file: Arc<str>,
        /// The offset there; modulo 4 GiB in the old form.
        offset: u64,
    },
    /// Events are missing on the source. See [`Incident::error`].
    Incident(Incident),
    /// First block of a file that LOAD DATA reads.
    BeginLoadQuery(FileBlock),
    /// A further block.
    AppendBlock(FileBlock),
    /// The LOAD DATA statement that reads the file.
    ExecuteLoadQuery(Box<ExecuteLoadQuery>),
    /// The file's LOAD DATA failed: forget its blocks.
    DeleteFile {
        /// Number of the file.
        file_id: u32,
    },
    /// Nothing to do: the event carries no change (flagged ignorable, or group replication's bookkeeping).
    Ignorable {
        /// Its type code.
        kind: u8,
    },
}

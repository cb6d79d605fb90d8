//! The commands of a replica: it registers, and asks for a dump by place or by GTIDs.

use bytes::{BufMut, BytesMut};

use crate::error::{Code, Error, Result, ServerError};
use crate::position::GtidSet;
use crate::wire::{Connection, Reply, classify};

use super::Registration;

const COM_BINLOG_DUMP: u8 = 0x12;
const COM_REGISTER_SLAVE: u8 = 0x15;
const COM_BINLOG_DUMP_GTID: u8 = 0x1e;
/// `BINLOG_THROUGH_GTID` (sql/rpl_constants.h).
const THROUGH_GTID: u16 = 0x04;
/// The offset of the first event of every binlog file, after its four magic bytes.
pub(super) const FIRST_EVENT: u64 = 4;

pub(super) async fn register(
    connection: &mut Connection,
    registration: &Registration,
    server_id: u32,
) -> Result<()> {
    let mut payload = BytesMut::with_capacity(64);
    payload.put_u32_le(server_id);
    let host: String = registration.report_host.chars().take(60).collect();
    put_text(&mut payload, host.as_bytes());
    // User and password of SHOW REPLICAS: never told.
    put_text(&mut payload, b"");
    put_text(&mut payload, b"");
    payload.put_u16_le(0);
    payload.put_u32_le(0);
    payload.put_u32_le(0);
    connection.send_command(COM_REGISTER_SLAVE, &payload).await?;
    match connection.read_reply().await? {
        Reply::Failed(server) => Err(needs_grants(dump_error(server))),
        _ => Ok(()),
    }
}

/// The server names the one privilege it missed first; a replica needs two.
pub fn needs_grants(error: Error) -> Error {
    match error.code() {
        Code::Privilege => {
            error.context("the source account needs REPLICATION SLAVE and REPLICATION CLIENT on *.*")
        }
        _ => error,
    }
}

fn put_text(payload: &mut BytesMut, text: &[u8]) {
    payload.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    payload.put_slice(text.get(..usize::from(u8::MAX)).unwrap_or(text));
}

pub(super) async fn dump_file(
    connection: &mut Connection,
    server_id: u32,
    file: &str,
    offset: u64,
) -> Result<()> {
    let mut payload = BytesMut::with_capacity(16 + file.len());
    payload.put_u32_le(u32::try_from(offset).unwrap_or(u32::MAX));
    payload.put_u16_le(0);
    payload.put_u32_le(server_id);
    payload.put_slice(file.as_bytes());
    connection.send_command(COM_BINLOG_DUMP, &payload).await
}

pub(super) async fn dump_gtid(connection: &mut Connection, server_id: u32, set: &GtidSet) -> Result<()> {
    let encoded = set.encode();
    let mut payload = BytesMut::with_capacity(32 + encoded.len());
    payload.put_u16_le(THROUGH_GTID);
    payload.put_u32_le(server_id);
    payload.put_u32_le(0);
    payload.put_u64_le(FIRST_EVENT);
    payload.put_u32_le(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
    payload.put_slice(&encoded);
    connection.send_command(COM_BINLOG_DUMP_GTID, &payload).await
}

/// The source's words are safe to show: they speak of files and positions, not of rows.
pub(super) fn dump_error(server: ServerError) -> Error {
    let code = classify(&server);
    Error::new(code, format!("the source refused: {} ({})", server.message, server.number))
        .with_server(server)
}

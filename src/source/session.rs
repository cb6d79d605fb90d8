//! Registration as a replica, and the stream of events with their places.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};

use crate::bail;
use crate::binlog::{Body, Decoder, Event, PayloadReader, PayloadStream, kind};
use crate::clock::Sampler;
use crate::error::{Code, Error, Result, ServerError};
use crate::failpoint;
use crate::position::{Coordinates, Start};
use crate::wire::{Connection, Endpoint, Rows};

use super::commands::{FIRST_EVENT, dump_error, dump_file, dump_gtid, needs_grants, register};
use super::{Identity, Offset};

/// The most that one compressed transaction may unpack to; it is read as a stream, so this bounds time, not memory.
const MAX_PAYLOAD: u64 = 1 << 40;

/// How many seconds the source waits for us to read on: we do not while the target is busy with what we have (the default
/// of a minute would end the stream in the middle of a large transaction, again and again).
const UNREAD_S: u32 = 86_400;

/// A longer packet is read while it arrives, if it is a compressed transaction.
const LONG: usize = 1 << 20;

/// How the bridge presents itself to the source.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Where the source is.
    pub endpoint: Endpoint,
    /// Our server id; unique among the source's replicas.
    pub server_id: ServerId,
    /// Our server UUID, the same at each start: the source ends the dump of an older connection with it.
    pub uuid: uuid::Uuid,
    /// The host that `SHOW REPLICAS` on the source shows for us.
    pub report_host: String,
    /// How often the source says something when it has nothing to send.
    pub heartbeat: Duration,
}

/// Who chose the server id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerId {
    /// The operator: a clash is an error.
    Chosen(u32),
    /// We: a clash means the next one.
    Derived(u32),
}

/// A server id that is the same at every start of a bridge and unlikely to be a number that people choose.
pub fn stable_server_id(bridge_uuid: uuid::Uuid) -> u32 {
    let digest = Sha256::digest(bridge_uuid.as_bytes());
    let number = digest.iter().take(4).fold(0u32, |number, &byte| (number << 8) | u32::from(byte));
    // Large, and clear of the top: RDS and people use small numbers, 4294967295 is the greatest allowed.
    0x4000_0000 | (number & 0x3FFF_FFFF)
}

/// An event and where it stands.
#[derive(Debug, Clone)]
pub struct Located {
    /// The event.
    pub event: Event,
    /// The binlog file it stands in.
    pub file: Arc<str>,
    /// Where it begins.
    pub start: u64,
    /// Where it ends: the place to go on after it.
    pub end: u64,
}

impl Located {
    /// The place after the event.
    pub fn end(&self) -> Coordinates {
        Coordinates { file: Arc::clone(&self.file), offset: self.end }
    }

    /// The place of the event.
    pub fn start(&self) -> Coordinates {
        Coordinates { file: Arc::clone(&self.file), offset: self.start }
    }
}

/// A connection to a source that has said who it is, and is told nothing yet.
pub struct Dialed {
    connection: Connection,
    identity: Identity,
}

impl Dialed {
    /// Connects.
    ///
    /// # Errors
    /// Connection and login errors; `BB3105` if the source's settings cannot work.
    pub async fn dial(endpoint: &Endpoint) -> Result<Self> {
        let mut connection = Connection::connect(endpoint).await?;
        let identity = Identity::ask(&mut connection).await?;
        Ok(Self { connection, identity })
    }

    /// Takes leave: nobody wants it.
    pub async fn close(self) {
        self.connection.close().await;
    }
}

/// A running dump: the source sends events until one side ends it.
pub struct Stream {
    connection: Connection,
    decoder: Decoder,
    identity: Identity,
    file: Arc<str>,
    offset: Offset,
    /// Events before this place were seen by an earlier stream; they come again where 32 bits could not name the place.
    skip_before: Option<u64>,
    /// A compressed transaction whose events are being handed out.
    payload: Option<Payload>,
    sampler: Sampler,
    decoding: Option<Duration>,
}

/// Events inside a payload have no place of their own: going on is possible before or after the whole only.
struct Payload {
    reader: Reader,
    outer: Located,
}

enum Reader {
    /// Of an event that is held.
    Whole(PayloadReader),
    /// Of an event that is still arriving, and how many of its next bytes are known already.
    Arriving(Box<PayloadStream>, usize),
}

impl Stream {
    /// Connects, registers, and asks for the events from `start` on.
    ///
    /// # Errors
    /// Connection and login errors; `BB3103` if our server id is taken; `BB3105` if the source's settings cannot work.
    /// A position that the source refuses shows at the first [`next`](Self::next).
    pub async fn open(registration: &Registration, start: &Start) -> Result<Self> {
        Self::begin(Dialed::dial(&registration.endpoint).await?, registration, start).await
    }

    /// Registers on a connection that is there, and asks for the events from `start` on.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn begin(dialed: Dialed, registration: &Registration, start: &Start) -> Result<Self> {
        let Dialed { mut connection, identity } = dialed;
        let (checksums, replicas) = Self::introduce(&mut connection, registration).await?;
        let server_id = Self::free_server_id(&replicas, registration, identity.server_id)?;
        // Three heartbeats unheard mean a connection that is open at our end only.
        connection.set_read_timeout(Some(registration.heartbeat * 3 + Duration::from_secs(1)));
        register(&mut connection, registration, server_id).await?;
        let (file, offset, skip_before): (Arc<str>, _, _) = match start {
            Start::File(at) => {
                // COM_BINLOG_DUMP takes 4 bytes: beyond 4 GiB, read the file from its beginning and pass over it.
                let within = u32::try_from(at.offset).is_ok();
                let from = if within { at.offset } else { FIRST_EVENT };
                dump_file(&mut connection, server_id, &at.file, from).await?;
                (Arc::clone(&at.file), from, (!within).then_some(at.offset))
            }
            Start::Gtid(set) => {
                dump_gtid(&mut connection, server_id, set).await?;
                ("".into(), FIRST_EVENT, None)
            }
        };
        let decoder = Decoder::new(checksums);
        Ok(Self {
            connection,
            decoder,
            identity,
            file,
            offset: Offset::new(offset),
            skip_before,
            payload: None,
            sampler: Sampler::default(),
            decoding: None,
        })
    }

    /// Who the source is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// `BB2002` when the connection ends; `BB31xx` when the source ends the dump with an error; `BB32xx` for bytes that
    /// are not an event we understand, with the place.
    pub async fn next(&mut self) -> Result<Located> {
        loop {
            if let Some(inner) = self.next_inner().await? {
                if self.is_wanted(&inner) {
                    return Ok(inner);
                }
                continue;
            }
            if self.begin_long().await? {
                continue;
            }
            let packet = self.connection.read_packet().await?;
            let raw = event_bytes(packet)?;
            let began = self.sampler.start();
            let event = self.decoder.decode(raw).map_err(|error| error.context(self.place()))?;
            self.decoding = began.map(|began| began.elapsed()).or(self.decoding);
            failpoint::hit("source.after_event");
            let located = self.locate(event);
            if let Body::Payload(payload) = &located.event.body {
                let reader = payload.events(MAX_PAYLOAD).map_err(|error| error.context(self.place()))?;
                self.payload = Some(Payload { reader: Reader::Whole(reader), outer: located });
                continue;
            }
            if self.is_wanted(&located) {
                self.require_boundary(&located)?;
                return Ok(located);
            }
        }
    }

    /// Where a place beyond 4 GiB was asked for, the first event from there on must begin there.
    fn require_boundary(&mut self, located: &Located) -> Result<()> {
        let Some(limit) = self.skip_before.filter(|_| located.end > located.start) else { return Ok(()) };
        if located.start != limit {
            bail!(
                ImpossiblePosition,
                "{}:{limit} lies inside an event: one begins at {}",
                located.file,
                located.start()
            );
        }
        self.skip_before = None;
        Ok(())
    }

    /// How long it took to decode one of the events since the last call, if one was timed.
    pub fn take_decoding(&mut self) -> Option<Duration> {
        self.decoding.take()
    }

    fn is_wanted(&self, located: &Located) -> bool {
        self.skip_before.is_none_or(|limit| located.start >= limit || located.end == located.start)
    }

    /// A large compressed transaction comes next: it is read while it arrives.
    async fn begin_long(&mut self) -> Result<bool> {
        // The packet's status byte stands before the event.
        let head = self.connection.long_head(LONG, 1 + PayloadStream::HEAD).await?;
        let Some(head) = head.filter(|head| is_payload(head)).map(|head| head.slice(1..)) else {
            return Ok(false);
        };
        let place = self.place();
        let here = |error: Error| error.context(place.clone());
        let stream = PayloadStream::begin(&head, self.decoder.checksum(), MAX_PAYLOAD).map_err(here)?;
        self.connection.read_in_chunks();
        failpoint::hit("source.after_event");
        let header = *stream.header();
        let known = 1 + stream.head_len();
        let outer = self.located(Event {
            header,
            body: Body::Ignorable { kind: kind::TRANSACTION_PAYLOAD },
            bytes: head,
        });
        self.payload = Some(Payload { reader: Reader::Arriving(Box::new(stream), known), outer });
        Ok(true)
    }

    /// Cancel-safe.
    async fn next_inner(&mut self) -> Result<Option<Located>> {
        let Some(payload) = &mut self.payload else { return Ok(None) };
        let place = |error: Error| {
            error.context(format!("in the compressed transaction at {}", payload.outer.start()))
        };
        let raw = match &mut payload.reader {
            Reader::Whole(reader) => reader.next_event().map_err(place)?,
            Reader::Arriving(stream, known) => loop {
                if let Some(raw) = stream.next_event().map_err(place)? {
                    break Some(raw);
                }
                match self.connection.read_chunk().await? {
                    Some(mut chunk) => {
                        let passed = chunk.len().min(*known);
                        chunk.advance(passed);
                        *known -= passed;
                        stream.push(chunk).map_err(place)?;
                    }
                    None if stream.has_ended() => break None,
                    None => {
                        let error = Error::new(Code::BadEvent, "a transaction payload ends before its end");
                        return Err(place(error));
                    }
                }
            },
        };
        let Some(raw) = raw else {
            self.payload = None;
            return Ok(None);
        };
        let began = self.sampler.start();
        let event = self.decoder.decode_inner(raw).map_err(place)?;
        self.decoding = began.map(|began| began.elapsed()).or(self.decoding);
        Ok(Some(Located { event, ..payload.outer.clone() }))
    }

    fn place(&self) -> String {
        format!("at {}:{}", self.file, self.offset.value())
    }

    fn locate(&mut self, event: Event) -> Located {
        match &event.body {
            Body::Rotate { file, offset, artificial } => {
                let located = self.located(event.clone());
                self.skip_before = self.skip_before.filter(|_| *artificial);
                self.file = Arc::clone(file);
                self.offset = Offset::new(*offset);
                return located;
            }
            Body::Heartbeat { .. } => {
                self.offset = self.offset.advanced_to(event.header.end_position);
                let at = self.offset.value();
                return Located { event, file: Arc::clone(&self.file), start: at, end: at };
            }
            _ => {}
        }
        self.located(event)
    }

    fn located(&mut self, event: Event) -> Located {
        self.offset = self.offset.advanced_to(event.header.end_position);
        let end = self.offset.value();
        let size = if event.header.end_position == 0 { 0 } else { u64::from(event.header.event_size) };
        Located { file: Arc::clone(&self.file), start: end.saturating_sub(size), end, event }
    }

    /// Session variables that a dump obeys. Returns whether events will carry checksums, and the source's replicas; in
    /// one round trip.
    async fn introduce(connection: &mut Connection, registration: &Registration) -> Result<(bool, Rows)> {
        let dialect = connection.dialect();
        let introduction = dialect.introduce_replica(registration.heartbeat, &registration.uuid);
        let statements = [
            format!("{introduction}, net_write_timeout = {UNREAD_S}"),
            "SELECT @@global.binlog_checksum".to_owned(),
            dialect.replicas().to_owned(),
        ];
        let mut answers = connection.query_each(&statements).await.map_err(needs_grants)?;
        let replicas = answers.pop().unwrap_or_default();
        let checksums = match answers.pop().as_ref().and_then(Rows::scalar).unwrap_or("NONE") {
            "CRC32" => true,
            "NONE" => false,
            other => bail!(SourceSettings, "binlog_checksum = {other} on the source is not known here"),
        };
        Ok((checksums, replicas))
    }

    fn free_server_id(replicas: &Rows, registration: &Registration, source_id: u32) -> Result<u32> {
        let ours = registration.uuid.to_string();
        let taken: Vec<u32> = replicas
            .rows
            .iter()
            .filter(|row| row.text(row_uuid_column(&replicas.columns)).is_none_or(|uuid| uuid != ours))
            .filter_map(|row| row.text(0).and_then(|id| id.parse().ok()))
            .chain([source_id])
            .collect();
        match registration.server_id {
            ServerId::Chosen(id) if taken.contains(&id) => {
                bail!(DuplicateServerId, "server id {id} is used by the source or another of its replicas")
            }
            ServerId::Chosen(id) => Ok(id),
            ServerId::Derived(id) => Ok((id..=u32::MAX).find(|id| !taken.contains(id)).unwrap_or(id)),
        }
    }
}

fn row_uuid_column(columns: &[String]) -> usize {
    columns.iter().position(|name| name == "Replica_UUID" || name == "Slave_UUID").unwrap_or(usize::MAX)
}

/// Whether a packet begins like a `TRANSACTION_PAYLOAD` event without semi-sync header.
fn is_payload(head: &[u8]) -> bool {
    /// Where an event's header holds its type.
    const KIND_AT: usize = 4;
    head.first() == Some(&0x00) && head.get(1 + KIND_AT) == Some(&kind::TRANSACTION_PAYLOAD)
}

/// Takes the status byte off a packet of the dump, and the semi-sync header if there is one.
fn event_bytes(mut packet: Bytes) -> Result<Bytes> {
    match packet.first() {
        Some(0x00) => {
            let raw = packet.split_off(1);
            Ok(without_semi_sync_header(raw))
        }
        Some(0xFF) => Err(dump_error(parse_server_error(&packet))),
        Some(0xFE) if packet.len() < 9 => {
            bail!(ConnectionLost, "the source ended the stream (it is shutting down, or closed it)")
        }
        _ => bail!(Protocol, "the source sent a packet that is neither an event nor an error"),
    }
}

/// A semi-sync source puts `EF flag` before each event. We never ask for it; a header is recognised by the event's own
/// size field, which fits at one of the two places only.
fn without_semi_sync_header(mut raw: Bytes) -> Bytes {
    let size_at = |offset: usize| -> Option<usize> {
        let bytes: [u8; 4] = raw.get(offset + 9..offset + 13)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if raw.first() == Some(&0xEF) && size_at(0) != Some(raw.len()) && size_at(2) == raw.len().checked_sub(2) {
        return raw.split_off(2);
    }
    raw
}

fn parse_server_error(packet: &Bytes) -> ServerError {
    let number = packet.get(1..3).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes);
    let rest = packet.get(3..).unwrap_or_default();
    let (state, message) = match rest.split_first() {
        Some((b'#', rest)) if rest.len() >= 5 => rest.split_at(5),
        _ => (&[][..], rest),
    };
    ServerError {
        number,
        state: String::from_utf8_lossy(state).into_owned(),
        message: String::from_utf8_lossy(message).into_owned(),
    }
}

/// For a place that nothing was ever read from: what cannot be read there is more likely the fault of the place than of
/// the log. In the middle of an event the source finds lengths, types and checksums at random, and says so in many words.
#[must_use]
pub fn misplaced(error: Error) -> Error {
    match error.code() {
        Code::TooLarge | Code::Dump | Code::BadEvent | Code::UnknownEvent | Code::ImpossiblePosition => error
            .with_code(Code::ImpossiblePosition)
            .context("the start position seems to lie inside an event or a transaction"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_of(size: usize, first: u8) -> Vec<u8> {
        let mut raw = vec![0; size];
        raw[0] = first;
        raw[9..13].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        raw
    }

    #[test]
    fn a_semi_sync_header_is_taken_off_and_an_event_that_looks_like_one_is_not() {
        let plain = Bytes::from(event_of(30, 0xEF));
        assert_eq!(without_semi_sync_header(plain.clone()), plain);
        let mut wrapped = vec![0xEF, 0x01];
        wrapped.extend(event_of(30, 0x17));
        assert_eq!(without_semi_sync_header(Bytes::from(wrapped)).len(), 30);
    }

    #[test]
    fn a_purged_position_is_named_as_such() {
        let mut packet = vec![0xFF, 0xD4, 0x04];
        packet.extend(b"#HY000Could not find first log file name in binary log index file");
        let error = event_bytes(Bytes::from(packet)).unwrap_err();
        assert_eq!(error.code(), Code::Purged);
    }

    #[test]
    fn server_ids_derived_from_one_bridge_are_the_same_and_large() {
        let uuid = uuid::Uuid::from_u128(7);
        assert_eq!(stable_server_id(uuid), stable_server_id(uuid));
        assert!(stable_server_id(uuid) >= 0x4000_0000);
    }
}

//! Payloads read while they arrive hold what payloads read whole hold, however they are cut, and are refused alike.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::{Body, Checksum, Decoder, Header, PayloadStream, kind};
use super::{folder, read, split};
use crate::error::{Code, Result};

const CAP: u64 = 1 << 30;

/// The recorded payload events, with checksum, and the events in each.
fn recorded() -> Vec<(Bytes, Vec<Bytes>)> {
    let mut decoder = Decoder::new(true);
    let mut found = Vec::new();
    for raw in split(&read(&folder().join("payload.binlog"))) {
        let event = decoder.decode(raw.clone()).unwrap();
        if let Body::Payload(payload) = event.body {
            let mut reader = payload.events(CAP).unwrap();
            let events = std::iter::from_fn(|| reader.next_event().unwrap()).collect();
            found.push((raw, events));
        }
    }
    assert!(!found.is_empty());
    found
}

/// An event around a payload, with a right checksum.
fn event(algorithm: u8, size: usize, uncompressed: u64, bytes: &[u8]) -> Bytes {
    let size = u32::try_from(size).unwrap().to_le_bytes();
    let algorithm = if algorithm == 255 { vec![2, 3, 0xFC, 255, 0] } else { vec![2, 1, algorithm] };
    let body = [
        &[1, 4, 0xFD, size[0], size[1], size[2]][..],
        &algorithm,
        &[3, 9, 0xFE],
        &uncompressed.to_le_bytes(),
        &[0],
        bytes,
    ]
    .concat();
    let event_size = u32::try_from(Header::LEN + body.len() + Checksum::LEN).unwrap();
    let header = Header {
        timestamp: 1,
        kind: kind::TRANSACTION_PAYLOAD,
        server_id: 1,
        event_size,
        end_position: 4,
        flags: 0,
    };
    let content = [&header.encode()[..], &body].concat();
    let crc = crc32fast::hash(&content).to_le_bytes();
    [content, crc.to_vec()].concat().into()
}

/// Feeds an event in chunks; gives the events that came out.
fn drive(raw: &Bytes, chunk: usize) -> Result<Vec<Bytes>> {
    let head = raw.slice(..raw.len().min(PayloadStream::HEAD));
    let mut stream = PayloadStream::begin(&head, Checksum::Crc32, CAP)?;
    let mut events = Vec::new();
    for part in raw[stream.head_len()..].chunks(chunk) {
        stream.push(Bytes::copy_from_slice(part))?;
        while let Some(event) = stream.next_event()? {
            events.push(event);
        }
    }
    assert_eq!(stream.has_ended(), stream.next_event()?.is_none() && stream.has_ended());
    if !stream.has_ended() {
        return Err(crate::error::Error::new(Code::BadEvent, "cut"));
    }
    Ok(events)
}

fn xids(count: u64) -> Vec<u8> {
    let one = |number: u64| {
        let header =
            Header { timestamp: 1, kind: kind::XID, server_id: 1, event_size: 27, end_position: 0, flags: 0 };
        [&header.encode()[..], &number.to_le_bytes()].concat()
    };
    (0..count).flat_map(one).collect()
}

#[test]
fn recorded_payloads_hold_the_same_events_in_chunks_of_any_size() {
    for (raw, events) in recorded() {
        for chunk in (1..64).chain([100, 1000, raw.len()]) {
            assert_eq!(drive(&raw, chunk).unwrap(), events, "chunks of {chunk}");
        }
    }
}

#[test]
fn the_last_event_comes_out_only_once_the_checksum_is_found_right() {
    for (raw, events) in recorded() {
        let mut changed = raw.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        let changed = Bytes::from(changed);
        let mut stream = PayloadStream::begin(
            &changed.slice(..PayloadStream::HEAD.min(changed.len())),
            Checksum::Crc32,
            CAP,
        )
        .unwrap();
        stream.push(changed.slice(stream.head_len()..)).unwrap();
        let mut seen = 0;
        let error = loop {
            match stream.next_event() {
                Ok(Some(_)) => seen += 1,
                Ok(None) => panic!("a wrong checksum is an error"),
                Err(error) => break error,
            }
        };
        assert_eq!((error.code(), seen), (Code::BadEvent, events.len() - 1));
    }
}

#[test]
fn what_does_not_hold_together_is_refused_with_a_definite_error() {
    let plain = xids(40);
    let packed = zstd::encode_all(&plain[..], 3).unwrap();
    let total = plain.len() as u64;
    let whole = event(0, packed.len(), total, &packed);
    assert_eq!(drive(&whole, 7).unwrap().len(), 40);
    assert_eq!(drive(&event(255, plain.len(), total, &plain), 7).unwrap().len(), 40);
    let garbage = [packed.clone(), b"garbage".to_vec()].concat();
    let wide = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(28).unwrap();
        encoder.long_distance_matching(true).unwrap();
        std::io::Write::write_all(&mut encoder, &plain).unwrap();
        encoder.finish().unwrap()
    };
    for (what, raw, code) in [
        ("unknown algorithm", event(9, packed.len(), total, &packed), Code::UnknownEvent),
        ("not zstd", event(0, 16, total, b"this is not zstd"), Code::BadEvent),
        ("cut short", event(0, packed.len() - 5, total, &packed[..packed.len() - 5]), Code::BadEvent),
        ("announced smaller", event(0, packed.len(), total - 27, &packed), Code::BadEvent),
        ("announced larger", event(0, packed.len(), total + 27, &packed), Code::BadEvent),
        ("garbage behind", event(0, garbage.len(), total, &garbage), Code::BadEvent),
        ("size beyond the event", event(0, packed.len() + 9, total, &packed), Code::BadEvent),
        ("over the cap", event(0, packed.len(), CAP + 1, &packed), Code::TooLarge),
        (
            "a bomb",
            event(0, 0x1000, 27, &zstd::encode_all(&vec![0_u8; 1 << 24][..], 3).unwrap()),
            Code::BadEvent,
        ),
        ("too wide a window", event(0, wide.len(), total, &wide), Code::BadEvent),
    ] {
        for chunk in [1, 5, 4096] {
            match drive(&raw, chunk) {
                Ok(events) => panic!("{what}: {} events", events.len()),
                Err(error) => assert_eq!(error.code(), code, "{what}: {error}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn bytes_changed_anywhere_are_noticed(at in any::<prop::sample::Index>(), by in 1_u8.., chunk in 1_usize..500) {
        let (raw, _) = recorded().swap_remove(0);
        let mut changed = raw.to_vec();
        // The header's own fields are checked elsewhere.
        let at = Header::LEN + at.index(changed.len() - Header::LEN);
        changed[at] ^= by;
        prop_assert!(drive(&Bytes::from(changed), chunk).is_err());
    }
}

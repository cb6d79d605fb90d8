//! Recorded events with bytes changed, cut and repeated: nothing panics, nothing loops, whatever comes.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::*;
use crate::binlog::kind;

/// All recorded events without checksums, format descriptions adapted: mutations get past the checksum.
fn recorded() -> Vec<Vec<Bytes>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "binlog") {
            continue;
        }
        let mut decoder = Decoder::new(true);
        let events = split(&read(&path)).into_iter().map(|raw| {
            let event = decoder.decode(raw).unwrap();
            match &event.body {
                Body::FormatDescription(format) => format.without_checksum(),
                _ => crate::binlog::with_position(&event.bytes, event.header.end_position),
            }
        });
        files.push(events.collect());
    }
    assert!(files.len() >= 10);
    files
}

/// Decodes all of it, on past errors.
fn decode_all(events: impl IntoIterator<Item = Bytes>) {
    let mut decoder = Decoder::new(false);
    for raw in events {
        let mut counts = Counts::default();
        if let Ok(event) = decoder.decode(raw) {
            // What the walk asserts of good rows holds of all that it accepts; its errors are welcome.
            let _ = walk(&mut decoder, &event, &mut counts);
        }
    }
}

fn walk(decoder: &mut Decoder, event: &Event, counts: &mut Counts) -> Result<()> {
    match &event.body {
        Body::Rows(rows) => {
            for row in rows.rows() {
                let row = row?;
                counts.inserts += 1;
                for image in row.before.iter().chain(&row.after) {
                    assert_eq!(image.cells().count(), rows.table.columns.len());
                    let _ = (image.cell(0), image.cell(usize::MAX));
                }
            }
            assert!(counts.inserts <= rows.data.len() + 1);
        }
        Body::TableMap(map) => drop(map.renamed("schema", "table", 1)),
        Body::Payload(payload) => {
            let mut reader = payload.events(1 << 20)?;
            while let Some(raw) = reader.next_event()? {
                let inner = decoder.decode_inner(raw)?;
                walk(decoder, &inner, counts)?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Length(prop::sample::Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => index().prop_map(Change::Cut),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (index(), 0xFA..=0xFF_u8).prop_map(|(at, byte)| Change::Length(at, byte)),
    ]
}

fn apply(event: &Bytes, changes: &[Change]) -> Bytes {
    let mut bytes = event.to_vec();
    for change in changes {
        let body = Header::LEN..bytes.len();
        if body.is_empty() {
            break;
        }
        match change {
            Change::Set(at, byte) | Change::Length(at, byte) => {
                bytes[Header::LEN + at.index(body.len())] = *byte;
            }
            Change::Cut(at) => bytes.truncate(Header::LEN + at.index(body.len())),
            Change::Insert(at, more) => {
                let at = Header::LEN + at.index(body.len());
                bytes.splice(at..at, more.iter().copied());
            }
        }
    }
    crate::binlog::with_position(&bytes.into(), 1)
}

/// The same cases at each run; `BINBRIDGE_SEED` tries others.
fn runner(cases: u32) -> TestRunner {
    let seed = std::env::var("BINBRIDGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    println!("BINBRIDGE_SEED={seed}");
    let config =
        Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
}

#[test]
fn no_change_to_recorded_events_makes_the_decoder_panic() {
    let files = recorded();
    let strategy = (
        any::<prop::sample::Index>(),
        prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(change(), 1..4)), 1..12),
    );
    let run = runner(400).run(&strategy, |(file, changes)| {
        let mut events = files[file.index(files.len())].clone();
        for (at, changes) in &changes {
            // The format description stays: without it nothing else is looked at.
            let at = 1 + at.index(events.len() - 1);
            events[at] = apply(&events[at], changes);
        }
        decode_all(events);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn no_body_makes_the_decoder_panic() {
    let files = recorded();
    let format = &files[0][0];
    let strategy = prop::collection::vec(
        (any::<u8>(), 0..=kind::GTID_TAGGED, prop::collection::vec(any::<u8>(), 0..120)),
        1..20,
    );
    let run = runner(400).run(&strategy, |bodies| {
        let events = bodies.into_iter().map(|(flags, kind, body)| {
            let header = Header {
                timestamp: 1,
                kind,
                server_id: 1,
                event_size: 0,
                end_position: 1,
                flags: flags.into(),
            };
            crate::binlog::with_position(&[&header.encode()[..], &body].concat().into(), 1)
        });
        decode_all(std::iter::once(format.clone()).chain(events));
        Ok(())
    });
    run.unwrap();
}

#[test]
fn no_format_description_makes_the_decoder_panic() {
    let files = recorded();
    let run = runner(200).run(&prop::collection::vec(change(), 1..6), |changes| {
        let mut events = files[0].clone();
        events[0] = apply(&events[0], &changes);
        decode_all(events);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn every_prefix_of_every_event_is_refused_or_understood() {
    for file in recorded() {
        let mut decoder = Decoder::new(false);
        for raw in file {
            for end in Header::LEN..raw.len() {
                let _ = decoder.clone().decode(crate::binlog::with_position(&raw.slice(..end), 1));
            }
            decoder.decode(raw).unwrap();
        }
    }
}

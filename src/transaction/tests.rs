//! The assembler over recorded binlog files.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::binlog::{Body as EventBody, Decoder, Header};
use crate::control::Target;
use crate::error::{Code, Result};
use crate::position::Coordinates;
use crate::progress::Seq;
use crate::source::Located;

use super::{Assembler, Body, Change, Limits, Routes, Rules, Unit};

const WHOLE: Limits = Limits { piece: usize::MAX, prepared: usize::MAX };

/// The events of a recorded file, with their places, as a stream hands them on.
fn located(name: &str) -> Vec<Located> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures").join(name);
    let mut rest = Bytes::from(std::fs::read(path).unwrap()).slice(4..);
    let (mut decoder, mut events, mut start) = (Decoder::new(true), Vec::new(), 4);
    while !rest.is_empty() {
        let size = Header::parse(&rest).unwrap().event_size;
        let raw = rest.split_to(usize::try_from(size).unwrap());
        let event = decoder.decode(raw).unwrap();
        let end = start + u64::from(size);
        let outer = Located { event, file: Arc::from(name), start, end };
        start = end;
        let EventBody::Payload(payload) = &outer.event.body else {
            events.push(outer);
            continue;
        };
        let mut reader = payload.events(1 << 30).unwrap();
        while let Some(raw) = reader.next_event().unwrap() {
            let event = decoder.decode_inner(raw).unwrap();
            events.push(Located { event, ..outer.clone() });
        }
    }
    events
}

fn assembler(rules: Rules, limits: Limits) -> Assembler {
    Assembler::new(Routes::new(rules), limits, Seq(0), None)
}

fn units(name: &str, limits: Limits) -> Result<Vec<Unit>> {
    let mut assembler = assembler(Rules::default(), limits);
    let units = located(name).into_iter().map(|located| assembler.push(located));
    units.filter_map(Result::transpose).collect()
}

fn changes(unit: &Unit) -> &[Change] {
    match unit {
        Unit::Piece(piece) => &piece.changes,
        Unit::Whole(transaction) => match &transaction.body {
            Body::Changes(changes) | Body::CreateSelect(_, changes) | Body::Prepare(_, changes) => changes,
            Body::Ddl(_) | Body::Resolve(..) => &[],
        },
        Unit::Abandoned(_) | Unit::Place(_) => &[],
    }
}

fn rows(units: &[Unit]) -> u64 {
    units.iter().flat_map(changes).map(Change::rows).sum()
}

/// All but `statements.binlog`, which holds a LOAD DATA.
const RECORDED: [&str; 9] = [
    "ddl.binlog",
    "gtids.binlog",
    "images.binlog",
    "names.binlog",
    "payload.binlog",
    "plain.binlog",
    "tables.binlog",
    "types.binlog",
    "xa.binlog",
];

#[test]
fn what_a_file_begins_with_is_a_place_only_where_the_source_went_on_to_it() {
    let name = "plain.binlog";
    let head: Vec<Located> = located(name)
        .into_iter()
        .take_while(|located| !matches!(located.event.body, EventBody::Gtid(_)))
        .collect();
    let end = head.last().unwrap().end;
    let rotate = |file: &str, artificial: bool| {
        let mut located = head[0].clone();
        located.event.body = EventBody::Rotate { file: Arc::from(file), offset: 4, artificial };
        located
    };
    let places = |before: &[Located]| -> Vec<u64> {
        let mut assembler = assembler(Rules::default(), WHOLE);
        let units = before.iter().chain(&head).map(|located| assembler.push(located.clone()).unwrap());
        let place = |unit| if let Some(Unit::Place(place)) = unit { Some(place.offset) } else { None };
        units.filter_map(place).collect()
    };
    assert_eq!(places(&[]), [0; 0]);
    // A source that is connected to by GTID sends a file's head, and then not all that is in it.
    assert_eq!(places(&[rotate(name, true)]), [0; 0]);
    assert_eq!(places(&[rotate(name, false), rotate(name, true)]), [4, end]);
    assert_eq!(places(&[rotate("other", false), rotate(name, true)]), [4]);
}

#[test]
fn every_transaction_of_the_recorded_files_is_numbered_and_its_places_join() {
    for name in RECORDED {
        let gtids =
            located(name).iter().filter(|located| matches!(located.event.body, EventBody::Gtid(_))).count();
        let mut units = units(name, WHOLE).unwrap();
        units.retain(|unit| !matches!(unit, Unit::Place(_)));
        assert_eq!(units.len(), gtids, "{name}");
        let mut last = None;
        for (index, unit) in units.iter().enumerate() {
            let Unit::Whole(transaction) = unit else { panic!("{name}: a piece") };
            assert_eq!(transaction.seq, Seq(u64::try_from(index).unwrap() + 1), "{name}");
            assert!(transaction.committed_us.is_some(), "{name}");
            if let Some(end) = last.replace(transaction.end.offset) {
                assert_eq!(transaction.start.offset, end, "{name}");
            }
        }
    }
}

#[test]
fn a_transaction_in_pieces_holds_the_same_rows_as_the_whole() {
    for name in RECORDED {
        let whole = units(name, WHOLE).unwrap();
        let pieces = units(name, Limits { piece: 1, prepared: usize::MAX }).unwrap();
        assert_eq!(rows(&pieces), rows(&whole), "{name}");
        let indexes = |units: &[Unit]| {
            units.iter().filter(|unit| matches!(unit, Unit::Piece(piece) if piece.index == 0)).count()
        };
        let streamed = |units: &[Unit]| {
            units.iter().filter(|unit| matches!(unit, Unit::Whole(whole) if whole.streamed)).count()
        };
        assert_eq!(indexes(&pieces), streamed(&pieces), "{name}");
    }
}

#[test]
fn a_prepared_xa_transaction_keeps_its_rows_and_never_goes_ahead_in_pieces() {
    let units = units("xa.binlog", Limits { piece: 1, prepared: usize::MAX }).unwrap();
    let prepared = units.iter().filter(|unit| matches!(unit, Unit::Whole(whole) if matches!(&whole.body, Body::Prepare(_, changes) if !changes.is_empty())));
    let resolved = units
        .iter()
        .filter(|unit| matches!(unit, Unit::Whole(whole) if matches!(whole.body, Body::Resolve(..))));
    assert!(prepared.count() > 0);
    assert!(resolved.count() > 0);
    let error = self::units("xa.binlog", Limits { piece: usize::MAX, prepared: 1 }).unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
}

#[test]
fn excluded_tables_leave_empty_transactions_that_still_count() {
    let all = units("types.binlog", WHOLE).unwrap();
    let rules = Rules { exclude: vec!["*.*".parse().unwrap()], ..Rules::default() };
    let mut assembler = assembler(rules, WHOLE);
    let none: Vec<Unit> =
        located("types.binlog").into_iter().filter_map(|located| assembler.push(located).unwrap()).collect();
    assert_eq!(none.len(), all.len());
    assert_eq!(rows(&none), 0);
    assert!(assembler.take_filtered() > 0);
}

#[test]
fn a_stream_that_breaks_off_gives_the_same_transaction_again_under_the_same_number() {
    let events = located("plain.binlog");
    let mut assembler = assembler(Rules::default(), Limits { piece: 1, prepared: usize::MAX });
    let mut broken = None;
    for located in events.clone() {
        if let Some(Unit::Piece(piece)) = assembler.push(located).unwrap() {
            broken = Some(piece.seq);
            break;
        }
    }
    let seq = broken.expect("a piece");
    assert!(matches!(assembler.interrupt(), Some(Unit::Abandoned(abandoned)) if abandoned == seq));
    assert_eq!(assembler.next_seq(), seq);
    let resume = assembler.resume().map_or(0, |at| at.offset);
    let mut again = events.into_iter().filter(|located| located.start >= resume);
    let unit = again.find_map(|located| assembler.push(located).unwrap());
    assert!(matches!(unit, Some(Unit::Piece(piece)) if piece.seq == seq));
}

#[test]
fn a_stream_that_begins_inside_a_transaction_is_refused() {
    let events = located("types.binlog");
    let inside = events.iter().position(|located| matches!(located.event.body, EventBody::Rows(_))).unwrap();
    let mut assembler = assembler(Rules::default(), WHOLE);
    let error = assembler.push(events[inside].clone()).unwrap_err();
    assert_eq!(error.code(), Code::BadEvent);
    assert!(error.to_string().contains(&format!("at types.binlog:{}", events[inside].start)), "{error}");
}

#[test]
fn load_data_in_statement_format_stops_the_stream_at_its_place() {
    let error = units("statements.binlog", WHOLE).unwrap_err();
    assert_eq!(error.code(), Code::UnsafeStatement);
    assert!(error.to_string().contains("at statements.binlog:"), "{error}");
}

#[test]
fn what_cannot_be_applied_is_passed_in_a_transaction_that_is_skipped_by_the_place_the_error_names() {
    let mut skipped = Vec::new();
    let units = loop {
        let mut assembler = assembler(Rules::default(), WHOLE);
        assembler.skip(skipped.clone());
        let units = located("statements.binlog").into_iter().map(|located| assembler.push(located));
        let error = match units.filter_map(Result::transpose).collect::<Result<Vec<Unit>>>() {
            Ok(units) => break units,
            Err(error) => error.to_string(),
        };
        let (_, named) = error.rsplit_once("; transaction ").unwrap_or_else(|| panic!("{error}"));
        let (_, offset) = named.rsplit_once("statements.binlog:").unwrap();
        let place = Target::At(Coordinates::new("statements.binlog", offset.parse().unwrap()));
        assert!(!skipped.contains(&place), "{error}");
        skipped.push(place);
    };
    let begins = |unit: &Unit| match unit {
        Unit::Whole(transaction) => Some(Target::At(transaction.start.clone())),
        _ => None,
    };
    assert!(!skipped.is_empty());
    assert!(skipped.iter().all(|target| units.iter().any(|unit| begins(unit).as_ref() == Some(target))));
}

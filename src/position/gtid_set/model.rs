//! The set against the plainest model of it: a set of single GTIDs.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::gtid::{Gtid, MAX_GNO, Sid};
use super::GtidSet;
use crate::error::Code;

const UUIDS: [&str; 2] = ["3e11fa47-71ca-11e1-9e33-c80aa9429562", "ffffffff-0000-0000-0000-000000000001"];
const TAGS: [&str; 3] = ["", ":a", ":_b9"];

type Model = BTreeSet<(Sid, u64)>;

#[derive(Debug, Clone)]
enum Step {
    Add(Gtid),
    AddInterval(Sid, u64, u64),
    Remove(Gtid),
}

fn sid() -> impl Strategy<Value = Sid> {
    (0..UUIDS.len(), 0..TAGS.len())
        .prop_map(|(uuid, tag)| format!("{}{}", UUIDS[uuid], TAGS[tag]).parse().unwrap())
}

fn gtid() -> impl Strategy<Value = Gtid> {
    (sid(), 0_u64..30).prop_map(|(sid, gno)| Gtid { sid, gno })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => gtid().prop_map(Step::Add),
        2 => (sid(), 0_u64..30, 0_u64..30).prop_map(|(sid, a, b)| Step::AddInterval(sid, a, b)),
        2 => gtid().prop_map(Step::Remove),
    ];
    vec(step, 0..40)
}

/// Runs the steps on both, comparing what each answers.
fn built(steps: &[Step]) -> (GtidSet, Model) {
    let (mut set, mut model) = (GtidSet::new(), Model::new());
    for step in steps {
        match step {
            Step::Add(gtid) => {
                let new = gtid.gno > 0 && model.insert((gtid.sid.clone(), gtid.gno));
                assert_eq!(set.add(gtid), new);
            }
            Step::AddInterval(sid, first, last) => {
                let before = model.len();
                model.extend((*first.max(&1)..=*last).map(|gno| (sid.clone(), gno)));
                assert_eq!(set.add_interval(sid, *first..=*last), model.len() > before);
            }
            Step::Remove(gtid) => {
                assert_eq!(set.remove(gtid), model.remove(&(gtid.sid.clone(), gtid.gno)));
            }
        }
        check_shape(&set);
    }
    (set, model)
}

/// No empty list, no intervals that touch.
fn check_shape(set: &GtidSet) {
    for intervals in set.sids.values() {
        assert!(!intervals.is_empty());
        assert!(intervals.as_slice().iter().all(|(start, end)| start < end));
        assert!(intervals.as_slice().windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}

fn members(set: &GtidSet) -> Model {
    check_shape(set);
    set.iter().flat_map(|(sid, gnos)| gnos.map(|gno| (sid.clone(), gno))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_holds_what_was_added_and_not_removed(steps in steps(), probe in gtid()) {
        let (set, model) = built(&steps);
        prop_assert_eq!(set.contains(&probe), model.contains(&(probe.sid.clone(), probe.gno)));
        prop_assert_eq!(set.is_empty(), model.is_empty());
        prop_assert_eq!(set.count(), model.len() as u128);
        prop_assert_eq!(members(&set), model);
    }

    #[test]
    fn set_operations_are_those_of_sets(left in steps(), right in steps()) {
        let ((left, left_model), (right, right_model)) = (built(&left), built(&right));
        let (mut union, mut difference, mut common) = (left.clone(), left.clone(), left.clone());
        union.union(&right);
        difference.subtract(&right);
        common.intersect(&right);
        prop_assert_eq!(members(&union), &left_model | &right_model);
        prop_assert_eq!(members(&difference), &left_model - &right_model);
        prop_assert_eq!(members(&common), &left_model & &right_model);
        prop_assert_eq!(left.is_subset_of(&right), left_model.is_subset(&right_model));
        prop_assert!(common.is_subset_of(&right) && left.is_subset_of(&union) && difference.is_subset_of(&left));
    }

    #[test]
    fn text_and_bytes_read_back_as_the_same_set(steps in steps()) {
        let (set, _) = built(&steps);
        prop_assert_eq!(set.to_string().parse::<GtidSet>().unwrap(), set.clone());
        let untidy = set.to_string().replace(',', " ,,\r\n").replace(':', " : ").to_uppercase();
        prop_assert_eq!(format!("\n+{untidy},").parse::<GtidSet>().unwrap(), set.clone());
        prop_assert_eq!(GtidSet::decode(&set.encode()).unwrap(), set);
    }

    #[test]
    fn cut_or_changed_bytes_are_an_error_or_another_set_and_never_more(
        steps in steps(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = built(&steps).0.encode();
        let at = at.index(bytes.len());
        prop_assert_eq!(GtidSet::decode(&bytes[..at]).unwrap_err().code(), Code::BadEvent);
        bytes[at] = byte;
        if let Ok(set) = GtidSet::decode(&bytes) {
            check_shape(&set);
            prop_assert_eq!(GtidSet::decode(&set.encode()).unwrap(), set);
        }
    }

    #[test]
    fn random_bytes_and_text_never_panic(bytes in vec(any::<u8>(), 0..200), text in "[0-9a-f:,\\- +\n{}_]{0,80}|.{0,40}") {
        let _ = GtidSet::decode(&bytes);
        let _ = text.parse::<GtidSet>();
    }
}

/// The bytes of a `PREVIOUS_GTIDS` event body as the server writes them.
fn bytes(head: u64, parts: &[&[u8]]) -> Vec<u8> {
    [&head.to_le_bytes()[..], &parts.concat()].concat()
}

fn interval(start: u64, end: u64) -> Vec<u8> {
    [start.to_le_bytes(), end.to_le_bytes()].concat()
}

#[test]
fn the_byte_forms_are_the_servers() {
    let [first, second] = UUIDS.map(|uuid| *uuid::Uuid::parse_str(uuid).unwrap().as_bytes());
    let (one, two) = (1_u64.to_le_bytes(), 2_u64.to_le_bytes());
    let untagged =
        bytes(2, &[&first, &two, &interval(1, 4), &interval(5, 6), &second, &one, &interval(7, 9)]);
    let set = GtidSet::decode(&untagged).unwrap();
    assert_eq!(set.to_string(), format!("{}:1-3:5,{}:7-8", UUIDS[0], UUIDS[1]));
    assert_eq!(set.encode(), untagged);

    let tagged = bytes(
        0x0100_0000_0000_0301,
        &[
            &first,
            &[0],
            &one,
            &interval(1, 14), // untagged entries carry an empty tag
            &first,
            &[10],
            b"mytag",
            &one,
            &interval(1, 3),
            &second,
            &[2],
            b"x",
            &one,
            &interval(9, MAX_GNO + 1),
        ],
    );
    let set = GtidSet::decode(&tagged).unwrap();
    assert_eq!(set.to_string(), format!("{}:1-13:mytag:1-2,{}:x:9-{MAX_GNO}", UUIDS[0], UUIDS[1]));
    assert_eq!(set.encode(), tagged);
    assert_eq!(GtidSet::default().encode(), [0; 8]);
}

#[test]
fn hostile_bytes_are_refused_before_anything_is_allocated() {
    let uuid = [7_u8; 16];
    let (one, huge) = (1_u64.to_le_bytes(), u64::MAX.to_le_bytes());
    let cases: [(&str, Vec<u8>); 13] = [
        ("nothing", vec![]),
        ("half a head", vec![0; 7]),
        ("more servers than bytes", bytes(0x00ff_ffff_ffff_ffff, &[&uuid, &one, &interval(1, 2)])),
        ("more tagged servers than bytes", bytes(0x01ff_ffff_ffff_ff01, &[])),
        ("an unknown format", bytes(0x0200_0000_0000_0000, &[])),
        ("more intervals than bytes", bytes(1, &[&uuid, &huge, &interval(1, 2)])),
        ("the number zero", bytes(1, &[&uuid, &one, &interval(0, 2)])),
        ("an empty interval", bytes(1, &[&uuid, &one, &interval(2, 2)])),
        ("a backward interval", bytes(1, &[&uuid, &one, &interval(3, 2)])),
        ("a number past the last", bytes(1, &[&uuid, &one, &interval(1, MAX_GNO + 2)])),
        ("touching intervals", bytes(1, &[&uuid, &2_u64.to_le_bytes(), &interval(1, 3), &interval(3, 4)])),
        ("a long tag", bytes(0x0100_0000_0000_0101, &[&uuid, &[0x01, 0x02]])),
        ("a tag that is none", bytes(0x0100_0000_0000_0101, &[&uuid, &[4], b"\xff1", &one, &interval(1, 2)])),
    ];
    for (what, bytes) in cases {
        assert_eq!(GtidSet::decode(&bytes).unwrap_err().code(), Code::BadEvent, "{what}");
    }
    assert!(GtidSet::decode(&bytes(0, &[&[0]])).is_err(), "bytes behind the set");
}

#[test]
fn text_of_servers_and_people_is_read() {
    let uuid = UUIDS[0];
    for (text, shown) in [
        (String::new(), String::new()),
        (" , ,".to_owned(), String::new()),
        (format!("{uuid}:5:1-3:4"), format!("{uuid}:1-5")),
        (format!("{uuid}:1-3:TAG:1-2:7:b:9:tag:3"), format!("{uuid}:1-3:b:9:tag:1-3:7")),
        (format!("{uuid}:b:1,\n{uuid}:2"), format!("{uuid}:2:b:1")),
        (format!("+{uuid}:1 - 3"), format!("{uuid}:1-3")),
    ] {
        assert_eq!(text.parse::<GtidSet>().unwrap().to_string(), shown, "{text}");
    }
}

#[test]
fn text_that_means_nothing_certain_is_refused() {
    let uuid = UUIDS[0];
    for text in [
        uuid.to_owned(),
        format!("{uuid}:"),
        format!("{uuid}:tag"),
        format!("{uuid}:a:b:1"),
        format!("{uuid}:0"),
        format!("{uuid}:3-1"),
        format!("{uuid}:1-"),
        format!("{uuid}:-1"),
        format!("{uuid}:1-2-3"),
        format!("{uuid}:1;{uuid}:2"),
        format!("{uuid}:1 2"),
        "0-1-100".to_owned(),
        "mysql-bin.000001:4".to_owned(),
    ] {
        assert_eq!(text.parse::<GtidSet>().unwrap_err().code(), Code::Position, "{text}");
    }
}

//! What is merged, what ends a segment, and in which order it goes out.

use std::sync::Arc;

use super::super::{Collation, Item, Planner, Reach, Run};
use super::events::Source;
use super::history::Lines;
use super::schema::{Action, COLUMNS, Generated, Images, Line, Nature, Reference, Schema, Table, Value};
use crate::binlog::{Bitmap, Body, Decoder, Header, RowUpdate, RowsEvent, RowsKind};
use crate::transaction::{Change, Routed};

fn table(primary: Option<usize>, unique: &[usize]) -> Table {
    let texts = Nature::Text(Collation::Folded);
    Table {
        natures: [Nature::Int, Nature::Int, texts, Nature::Int, texts, Nature::Double],
        primary: primary.map(|column| vec![column]),
        unique: unique.iter().map(|column| vec![*column]).collect(),
        references: Vec::new(),
        images: Images::Full,
        generated: Generated::Neither,
        partial: false,
        two_maps: false,
        reach: Reach::Values,
    }
}

fn child_of(parent: usize, on_delete: Action) -> Table {
    let (columns, to) = (vec![3], vec![0]);
    let reference = Reference { columns, parent, to, on_delete, on_update: Action::Restrict };
    Table { references: vec![reference], ..table(Some(0), &[]) }
}

fn schema(tables: Vec<Table>) -> Schema {
    Schema { tables, logs_cascades: false }
}

fn line(id: i32, u: i32, parent: i32) -> Line {
    let text = Value::Text("a");
    vec![Value::Int(id), Value::Int(u), text.clone(), Value::Int(parent), text, Value::Double(0)]
}

fn lines(table: usize, flags: u16, before: Option<Line>, after: Option<Line>) -> Lines {
    let all = [true; COLUMNS];
    let rows = vec![(before, after)];
    Lines { table, flags, before: all, after: all, partial: false, other_map: false, rows }
}

fn insert(table: usize, line: Line) -> Lines {
    lines(table, 0, None, Some(line))
}

fn delete(table: usize, line: Line) -> Lines {
    lines(table, 0, Some(line), None)
}

fn update(table: usize, before: Line, after: Line) -> Lines {
    lines(table, 0, Some(before), Some(after))
}

/// The plan as runs: table, kind, rows; a line between statements.
fn planned(schema: &Schema, changes: &[Lines]) -> Vec<String> {
    let mut source = Source::new(schema);
    let changes: Vec<Change> = changes.iter().map(|lines| source.rows(lines)).collect();
    let keys: Vec<_> = (0..schema.tables.len()).map(|table| Arc::new(schema.keys(table))).collect();
    let keys_of = |routed: &Arc<Routed>| keys.get(routed.table[1..].parse::<usize>().unwrap()).cloned();
    let mut planner = Planner::default();
    let plan = planner.plan(changes.iter(), keys_of).unwrap();
    let mut shown = Vec::new();
    for item in plan.items() {
        let Item::Rows(rows) = item else { continue };
        for statement in plan.statements(rows.clone()) {
            if !shown.is_empty() {
                shown.push("--".to_owned());
            }
            shown.extend(statement.runs().map(|run| describe(&run)));
        }
    }
    shown
}

fn describe(run: &Run<'_, '_>) -> String {
    let kind = match run.kind {
        RowsKind::Insert => '+',
        RowsKind::Delete => '-',
        _ => '*',
    };
    // The id stands behind the null bits of either image.
    let id = |(before, after): (&[u8], &[u8])| {
        let image = if before.is_empty() { after } else { before };
        i32::from_le_bytes(image[1..5].try_into().unwrap()).to_string()
    };
    let ids: Vec<String> = run.rows().map(id).collect();
    format!("{}{kind}{}", run.routed().unwrap().table, ids.join(","))
}

#[test]
fn the_changes_of_a_row_become_one() {
    let schema = schema(vec![table(Some(0), &[])]);
    let counted = |n| update(0, line(1, n, 0), line(1, n + 1, 0));
    assert_eq!(planned(&schema, &(0..100).map(counted).collect::<Vec<_>>()), ["t0*1"]);
    let come_and_gone = [insert(0, line(1, 1, 0)), counted(1), delete(0, line(1, 2, 0))];
    assert!(planned(&schema, &come_and_gone).is_empty());
    assert_eq!(planned(&schema, &come_and_gone[..2]), ["t0+1"]);
    let gone_and_come = [delete(0, line(1, 1, 0)), insert(0, line(1, 5, 0))];
    assert_eq!(planned(&schema, &gone_and_come), ["t0*1"]);
    assert_eq!(planned(&schema, &[counted(1), delete(0, line(1, 2, 0))]), ["t0-1"]);
}

#[test]
fn rows_go_out_by_kind_and_sorted_by_primary_key() {
    let schema = schema(vec![table(Some(0), &[])]);
    let changes = [
        insert(0, line(7, 0, 0)),
        update(0, line(300, 0, 0), line(300, 1, 0)),
        insert(0, line(-2, 0, 0)),
        delete(0, line(5, 0, 0)),
        update(0, line(4, 0, 0), line(4, 1, 0)),
        delete(0, line(3, 0, 0)),
    ];
    assert_eq!(planned(&schema, &changes), ["t0-3,5", "t0+-2,7", "t0*4,300"]);
}

#[test]
fn a_unique_value_that_passes_to_another_row_ends_the_segment() {
    let schema = schema(vec![table(Some(0), &[1])]);
    let passes = [update(0, line(9, 5, 0), line(9, 6, 0)), update(0, line(1, 4, 0), line(1, 5, 0))];
    assert_eq!(planned(&schema, &passes), ["t0*9,1"]);
    let does_not = [update(0, line(9, 5, 0), line(9, 6, 0)), update(0, line(1, 4, 0), line(1, 3, 0))];
    assert_eq!(planned(&schema, &does_not), ["t0*1,9"]);
    let freed = [insert(0, line(9, 5, 0)), delete(0, line(9, 5, 0)), insert(0, line(1, 5, 0))];
    assert_eq!(planned(&schema, &freed), ["t0+1"]);
}

#[test]
fn orders_and_their_lines_are_one_segment() {
    let schema = schema(vec![child_of(1, Action::Restrict), table(Some(0), &[])]);
    let mut changes = Vec::new();
    for order in 1..=3 {
        changes.push(insert(1, line(order, 0, 0)));
        changes.push(insert(0, line(order * 10, 0, order)));
        changes.push(update(1, line(order, 0, 0), line(order, 9, 0)));
    }
    changes.push(delete(0, line(5, 0, 9)));
    changes.push(delete(1, line(9, 0, 0)));
    assert_eq!(planned(&schema, &changes), ["t0-5", "t1-9", "t1+1,2,3", "t0+10,20,30"]);
    // The child has to leave before its parent, and leaves in an update.
    let leaves = [update(0, line(5, 0, 9), line(5, 0, 8)), delete(1, line(9, 0, 0))];
    assert_eq!(planned(&schema, &leaves), ["t0*5", "t1-9"]);
}

#[test]
fn what_a_cascade_may_reach_does_not_pass_it() {
    let schema = schema(vec![child_of(1, Action::Cascade), table(Some(0), &[]), table(Some(0), &[])]);
    let changes = [
        insert(0, line(1, 0, 9)),
        insert(2, line(1, 0, 0)),
        delete(1, line(9, 0, 0)),
        insert(0, line(1, 0, 8)),
        delete(2, line(1, 0, 0)),
    ];
    assert_eq!(planned(&schema, &changes), ["t0+1", "t1-9", "t0+1"]);
}

#[test]
fn a_cascade_may_reach_through_a_table_that_the_batch_does_not_have() {
    // Of 0 -> 1 -> 2 the one in the middle has no changes, so nothing ties the others together.
    let schema =
        schema(vec![child_of(1, Action::Cascade), child_of(2, Action::Cascade), table(Some(0), &[])]);
    let changes = [insert(0, line(8, 0, 1)), delete(2, line(9, 0, 0)), insert(0, line(7, 0, 1))];
    assert_eq!(planned(&schema, &changes), ["t0+8", "t2-9", "t0+7"]);
}

#[test]
fn a_deleted_row_leaves_the_value_that_it_had_at_first() {
    // Tables that refer to one another: neither's deletes come before the other's.
    let circle = Reference { to: vec![1], ..child_of(0, Action::Restrict).references[0].clone() };
    let child = Table { references: vec![circle], ..table(Some(0), &[]) };
    let parent = Table { unique: vec![vec![1]], ..child_of(1, Action::Restrict) };
    let schema = schema(vec![parent, child]);
    let changes = [
        insert(0, line(50, 50, 0)),
        delete(1, line(1, 0, 5)),
        update(0, line(1, 5, 0), line(1, 6, 0)),
        delete(0, line(1, 6, 0)),
    ];
    assert_eq!(planned(&schema, &changes), ["t1-1", "t0+50", "t0*1", "t0-1"]);
}

#[test]
fn a_table_that_refers_to_itself_keeps_the_streams_order() {
    let schema = schema(vec![child_of(0, Action::Restrict)]);
    let changes = [insert(0, line(9, 0, 9)), insert(0, line(1, 0, 9)), insert(0, line(5, 0, 1))];
    assert_eq!(planned(&schema, &changes), ["t0+9,1,5"]);
}

#[test]
fn keyless_rows_keep_their_order_and_their_events() {
    let schema = schema(vec![table(None, &[])]);
    let changes = [
        insert(0, line(2, 0, 0)),
        insert(0, line(1, 0, 0)),
        delete(0, line(2, 0, 0)),
        delete(0, line(1, 0, 0)),
    ];
    assert_eq!(planned(&schema, &changes), ["t0+2,1", "t0-2", "t0-1"]);
}

#[test]
fn flags_matter_only_where_they_mean_something() {
    let free = schema(vec![table(Some(0), &[])]);
    let unchecked = RowsEvent::NO_FOREIGN_KEY_CHECKS | RowsEvent::RELAXED_UNIQUE;
    let changes = |flags| {
        let with = |id| lines(0, flags, None, Some(line(id, 0, 0)));
        [insert(0, line(2, 0, 0)), with(1), insert(0, line(3, 0, 0))]
    };
    assert_eq!(planned(&free, &changes(unchecked)), ["t0+1,2,3"]);
    let tied = schema(vec![child_of(0, Action::Restrict)]);
    let kept = planned(&tied, &changes(RowsEvent::NO_FOREIGN_KEY_CHECKS));
    assert_eq!(kept, ["t0+2", "--", "t0+1", "--", "t0+3"]);
}

#[test]
fn large_rows_events_are_cut() {
    let schema = schema(vec![table(Some(0), &[])]);
    let mut source = Source::new(&schema);
    let changes: Vec<Change> = (0..80_000).map(|id| source.rows(&insert(0, line(id, id, 0)))).collect();
    let keys = Arc::new(schema.keys(0));
    let mut planner = Planner::default();
    let plan = planner.plan(changes.iter(), |_| Some(Arc::clone(&keys))).unwrap();
    let Item::Rows(rows) = &plan.items()[0] else { panic!() };
    let mut events = Vec::new();
    plan.encode(rows.clone(), None, &mut events);
    let mut decoder = Decoder::new(false);
    let (mut rest, mut ends, mut count) = (bytes::Bytes::from(events), Vec::new(), 0);
    while !rest.is_empty() {
        let size = Header::parse(&rest).unwrap().event_size as usize;
        assert!(size < (1 << 20) + 200);
        if let Body::Rows(rows) = decoder.decode_inner(rest.split_to(size)).unwrap().body {
            ends.push(rows.ends_statement());
            count += rows.rows().count();
        }
    }
    assert_eq!((ends.as_slice(), count), (&[false, true][..], 80_000));
}

/// A row of a table `p.q` that has one INT.
fn other_table() -> RowUpdate {
    let image = |number: i32| {
        let bytes = [&[0], &number.to_le_bytes()[..]].concat();
        (Bitmap::of(1, std::iter::once(0)), bytes)
    };
    let table_map = vec![1, b'p', 0, 1, b'q', 0, 1, 3, 0, 0];
    RowUpdate { like: vec![0; Header::LEN], table_map, before: image(7), after: image(8) }
}

/// Each event: the table of a table map, or what a rows event changes, its flags, and whether it ends the statement.
fn told(events: Vec<u8>) -> Vec<String> {
    let mut decoder = Decoder::new(false);
    let (mut rest, mut told) = (bytes::Bytes::from(events), Vec::new());
    while !rest.is_empty() {
        let size = Header::parse(&rest).unwrap().event_size as usize;
        told.push(match decoder.decode_inner(rest.split_to(size)).unwrap().body {
            Body::Rows(rows) => {
                let end = if rows.ends_statement() { "." } else { "" };
                format!("{}{}{}{end}", rows.table.table, rows.rows().count(), rows.flags & !1)
            }
            _ => "map".to_owned(),
        });
    }
    told
}

#[test]
fn a_row_of_another_table_is_the_last_of_the_last_statement() {
    let tied = schema(vec![child_of(0, Action::Restrict)]);
    let mut source = Source::new(&tied);
    let unchecked = lines(0, RowsEvent::NO_FOREIGN_KEY_CHECKS, None, Some(line(2, 2, 9)));
    let changes = [source.rows(&insert(0, line(1, 1, 1))), source.rows(&unchecked)];
    let keys = Arc::new(tied.keys(0));
    let mut planner = Planner::default();
    let plan = planner.plan(changes.iter(), |_| Some(Arc::clone(&keys))).unwrap();
    let Item::Rows(rows) = &plan.items()[0] else { panic!() };
    let encoded = |rows, last: &RowUpdate| {
        let mut events = Vec::new();
        plan.encode(rows, Some(last), &mut events);
        told(events)
    };
    let row = other_table();
    assert_eq!(encoded(rows.clone(), &row), ["map", "t010.", "map", "map", "t012", "q12."]);
    assert_eq!(encoded(0..0, &row), ["map", "q10."]);
}

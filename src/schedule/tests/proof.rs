//! For random schemas and histories the net batch leaves what the plain order leaves, and is never refused.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use super::super::plan::Statement;
use super::super::{Item, Planner};
use super::events::{Applied, Source, apply};
use super::history::{Draw, History, Step};
use super::schema::{Generated, Images, Nature, Schema, Table};
use super::store::RowChange;
use crate::transaction::{Change, Routed};

/// Many more with `BINBRIDGE_PROOF_CASES`.
const CASES: u32 = 3_000;

fn changes(source: &mut Source, steps: &[Step]) -> (Vec<Change>, Vec<RowChange>) {
    let mut statements = Vec::new();
    let changes = steps
        .iter()
        .map(|step| match step {
            Step::Rows(lines) => source.rows(lines),
            Step::Statement(change) => {
                statements.push(change.clone());
                Source::statement(statements.len() - 1)
            }
        })
        .collect();
    (changes, statements)
}

/// What was proven over.
#[derive(Debug, Default)]
struct Seen {
    rows_before: Cell<usize>,
    rows_after: Cell<usize>,
    statements: Cell<usize>,
    events_before: Cell<usize>,
    events_after: Cell<usize>,
    /// Rows before and after, of tables of each kind.
    kinds: RefCell<BTreeMap<&'static str, [usize; 2]>>,
}

/// What is special about a table.
fn kinds(table: &Table) -> Vec<&'static str> {
    let keys = || table.primary.iter().chain(&table.unique);
    let keyed = |nature| keys().any(|key| key.iter().any(|column| table.natures[*column] == nature));
    [
        ("hidden", table.generated == Generated::Both),
        ("hidden on the target", table.generated == Generated::Target),
        ("minimal", table.images == Images::Minimal),
        ("noblob", table.images == Images::Noblob),
        ("partial", table.partial),
        ("two maps", table.two_maps),
        ("decimal key", keyed(Nature::Decimal)),
        ("binary key", keyed(Nature::Binary)),
        ("wide foreign key", table.references.iter().any(|reference| reference.columns.len() > 1)),
    ]
    .into_iter()
    .filter_map(|(kind, is)| is.then_some(kind))
    .collect()
}

impl Seen {
    fn add(counter: &Cell<usize>, more: usize) {
        counter.set(counter.get() + more);
    }

    fn add_kinds(&self, schema: &Schema, before: &[usize], after: &[usize]) {
        for (number, table) in schema.tables.iter().enumerate() {
            for kind in kinds(table) {
                let mut known = self.kinds.borrow_mut();
                let [was, is] = known.entry(kind).or_default();
                *was += before[number];
                *is += after[number];
            }
        }
    }
}

fn holds(
    schema: &Schema,
    before: &[Draw],
    draws: &[Draw],
    planner: &mut Planner,
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let history = History::new(schema, before, draws);
    let (changes, statements) = changes(&mut Source::new(schema), &history.steps);
    let keys = super::keys_of(schema);
    let keys_of = |routed: &Arc<Routed>| keys.get(routed.table[1..].parse::<usize>().unwrap()).cloned();
    let plan = planner.plan(changes.iter(), keys_of).unwrap();
    let mut net = history.start.clone();
    let mut applied = Applied::default();
    let mut rows_of = [vec![0; schema.tables.len()], vec![0; schema.tables.len()]];
    for step in &history.steps {
        if let Step::Rows(lines) = step {
            rows_of[0][lines.table] += lines.rows.len();
        }
    }
    for item in plan.items() {
        let outcome = match item {
            Item::Rows(rows) => {
                let mut events = Vec::new();
                let statements = plan.statements(rows.clone());
                for run in statements.iter().flat_map(Statement::runs) {
                    let table: usize = run.routed().unwrap().table[1..].parse().unwrap();
                    rows_of[1][table] += run.rows().count();
                }
                plan.encode(rows.clone(), None, &mut events);
                apply(&events, schema, &mut net)
            }
            Item::Statement(statement) => {
                let number: usize = std::str::from_utf8(&statement.query.sql).unwrap().parse().unwrap();
                net.apply(&statements[number]).map(|_| Applied::default())
            }
        };
        match outcome {
            Ok(more) => {
                applied.rows += more.rows;
                applied.events += more.events;
                applied.statements += more.statements;
            }
            Err(refusal) => prop_assert!(false, "{refusal:?} at {item:?} of {plan:#?}\n{:#?}", history.steps),
        }
    }
    prop_assert_eq!(net.contents(), history.end.contents());
    Seen::add(&seen.rows_before, changes.iter().map(|change| usize::try_from(change.rows()).unwrap()).sum());
    Seen::add(&seen.rows_after, applied.rows);
    Seen::add(&seen.events_before, changes.iter().filter(|change| change.rows() > 0).count());
    Seen::add(&seen.events_after, applied.events);
    Seen::add(&seen.statements, applied.statements);
    seen.add_kinds(schema, &rows_of[0], &rows_of[1]);
    Ok(())
}

#[test]
fn a_net_batch_leaves_what_the_plain_order_leaves() {
    let cases = std::env::var("BINBRIDGE_PROOF_CASES").ok().and_then(|cases| cases.parse().ok());
    let seed = std::env::var("BINBRIDGE_PROOF_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    let config = ProptestConfig {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 200_000,
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let draw = || any::<Draw>();
    let schema = (any::<bool>(), vec(any::<[u8; 10]>(), 1..4));
    let strategy = (schema, vec(draw(), 0..20), vec(draw(), 0..50));
    let (counts, planner) = (Seen::default(), RefCell::new(Planner::default()));
    let outcome = runner.run(&strategy, |(schema, before, draws)| {
        let schema = Schema::of(&schema);
        holds(&schema, &before, &draws, &mut planner.borrow_mut(), &counts)
    });
    if let Err(error) = outcome {
        panic!("seed {seed}: {error}");
    }
    // The proof is over histories in which much can be merged and much cannot.
    assert!(counts.rows_after.get() * 10 < counts.rows_before.get() * 9, "{counts:?}");
    assert!(counts.statements.get() * 2 < counts.events_before.get(), "{counts:?}");
    let kinds = counts.kinds.borrow();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    for (kind, [before, after]) in kinds.iter() {
        let merges = !matches!(*kind, "partial" | "two maps" | "hidden on the target");
        assert!(*before > 500 && (!merges || *after * 50 < *before * 49), "{kind}: {kinds:?}");
    }
}

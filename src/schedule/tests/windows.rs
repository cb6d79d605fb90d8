//! For random schemas and histories, whatever the workers do in whichever order they are allowed to: the result is that
//! of the plain order, and no worker is ever refused.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use super::super::footprint::{Mode, Need};
use super::super::{Footprint, Footprints, Item, Planner, Share, TableKeys, UNDIVIDED_FROM, Windows};
use super::clock::clocks;
use super::events::{Source, apply};
use super::history::{Draw, History, Step};
use super::schema::Schema;
use super::store::{RowChange, Store};
use crate::transaction::{Change, Clock, Routed};

const CASES: u32 = 4_000;

/// A transaction of the history, as a worker sees it.
struct Transaction {
    changes: Vec<Change>,
    footprint: Footprint,
}

struct Stage<'s> {
    schema: &'s Schema,
    statements: Vec<RowChange>,
    keys: Vec<Arc<TableKeys>>,
    planner: Planner,
    store: Store<'s>,
}

impl Stage<'_> {
    fn keys_of(keys: &[Arc<TableKeys>], routed: &Arc<Routed>) -> Option<Arc<TableKeys>> {
        keys.get(routed.table[1..].parse::<usize>().unwrap()).cloned()
    }

    /// One target commit.
    fn commit(&mut self, transactions: &[Transaction], members: &[usize]) -> Result<(), TestCaseError> {
        let changes = || members.iter().flat_map(|member| &transactions[*member].changes);
        let keys = self.keys.clone();
        let plan = self.planner.plan(changes(), |routed| Self::keys_of(&keys, routed)).unwrap();
        for item in plan.items() {
            let outcome = match item {
                Item::Rows(rows) => {
                    let mut events = Vec::new();
                    plan.encode(rows.clone(), None, &mut events);
                    apply(&events, self.schema, &mut self.store).map(|_| ())
                }
                Item::Statement(statement) => {
                    let number: usize = std::str::from_utf8(&statement.query.sql).unwrap().parse().unwrap();
                    self.store.apply(&self.statements[number]).map(|_| ())
                }
            };
            prop_assert!(outcome.is_ok(), "{outcome:?} at {item:?} of {plan:#?}");
        }
        Ok(())
    }
}

fn transactions(
    source: &mut Source,
    stage: &mut Stage<'_>,
    history: &History<'_>,
    cuts: &[u8],
) -> Vec<Transaction> {
    let mut footprints = Footprints::default();
    let (mut all, mut touched): (Vec<Vec<Change>>, Vec<Vec<RowChange>>) = (Vec::new(), Vec::new());
    for (index, (step, rows)) in history.steps.iter().zip(&history.touched).enumerate() {
        let change = match step {
            Step::Rows(lines) => source.rows(lines),
            Step::Statement(change) => {
                stage.statements.push(change.clone());
                Source::statement(stage.statements.len() - 1)
            }
        };
        let begins = cuts.get(index % cuts.len().max(1)).is_none_or(|cut| cut % 3 > 0);
        match all.last_mut().zip(touched.last_mut()) {
            Some((last, touched)) if !begins => {
                last.push(change);
                touched.extend_from_slice(rows);
            }
            _ => {
                all.push(vec![change]);
                touched.push(rows.clone());
            }
        }
    }
    let coarse = |index: usize| cuts.get(index % cuts.len().max(1)).is_none_or(|cut| cut / 3 % 4 == 0);
    let clocks = clocks(stage.schema, &touched, coarse);
    let keys = stage.keys.clone();
    clocks
        .into_iter()
        .zip(all)
        .map(|(clock, changes)| {
            let mut footprint = Footprint::new(clock, Arc::from("b.000001"), 1 + changes.len());
            let keys_of = |routed: &Arc<Routed>| Stage::keys_of(&keys, routed);
            footprints.add(changes.iter(), keys_of, &mut footprint).unwrap();
            Transaction { changes, footprint }
        })
        .collect()
}

/// What was proven over.
#[derive(Debug, Default)]
struct Seen {
    windows: Cell<usize>,
    shared_out: Cell<usize>,
    waited: Cell<usize>,
    /// Windows with a statement of which something else went to another worker.
    statements_apart: Cell<usize>,
}

fn holds(
    schema: &Schema,
    (before, draws): (&[Draw], &[Draw]),
    choices: &[u8],
    workers: usize,
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let history = History::new(schema, before, draws);
    let keys = super::keys_of(schema);
    let store = history.start.clone();
    let mut stage = Stage { schema, statements: Vec::new(), keys, planner: Planner::default(), store };
    let transactions = transactions(&mut Source::new(schema), &mut stage, &history, choices);
    let mut windows = Windows::default();
    let mut queues: Vec<VecDeque<(u64, usize, Share)>> = vec![VecDeque::new(); workers];
    let mut next = 0;
    let mut choice = choices.iter().copied().cycle();
    let mut draw = || usize::from(choice.next().unwrap_or(1));
    loop {
        let has = |queues: &[VecDeque<(u64, usize, Share)>], (window, worker): (u64, usize)| {
            queues[worker].iter().any(|(number, ..)| *number == window)
        };
        let ready: Vec<usize> = (0..workers)
            .filter(|worker| {
                queues[*worker]
                    .front()
                    .is_some_and(|(_, _, share)| !share.after.iter().any(|at| has(&queues, *at)))
            })
            .collect();
        let waiting = queues.iter().filter(|queue| !queue.is_empty()).count();
        seen.waited.set(seen.waited.get() + waiting - ready.len());
        if next < transactions.len() && (ready.is_empty() || draw() % 3 > 0) {
            let size = (1 + draw() % 9).min(transactions.len() - next);
            let of: Vec<Footprint> =
                transactions[next..next + size].iter().map(|each| each.footprint.clone()).collect();
            let loads: Vec<usize> = queues.iter().map(VecDeque::len).collect();
            let (number, shares) = windows.split(&of, &loads);
            seen.windows.set(seen.windows.get() + 1);
            seen.shared_out.set(seen.shared_out.get() + usize::from(shares.len() > 1));
            let apart = shares.len() > 1 && of.iter().any(|footprint| footprint.statement);
            seen.statements_apart.set(seen.statements_apart.get() + usize::from(apart));
            for share in shares {
                prop_assert!(share.members.is_sorted());
                queues[share.worker].push_back((number, next, share));
            }
            next += size;
        } else if let Some(worker) = (!ready.is_empty()).then(|| ready[draw() % ready.len()]) {
            let (number, from, share) = queues[worker].pop_front().unwrap();
            let members: Vec<usize> = share.members.iter().map(|member| member + from).collect();
            stage.commit(&transactions, &members)?;
            windows.committed(number, worker);
        } else {
            prop_assert!(queues.iter().all(VecDeque::is_empty), "all wait for one another");
            break;
        }
    }
    prop_assert_eq!(stage.store.contents(), history.end.contents());
    Ok(())
}

#[test]
fn any_interleaving_of_workers_leaves_what_the_plain_order_leaves() {
    let cases = std::env::var("BINBRIDGE_PROOF_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 200_000,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    };
    let draw = || any::<Draw>();
    let schema = (any::<bool>(), vec(any::<[u8; 10]>(), 1..4));
    let strategy = (schema, vec(draw(), 0..20), vec(draw(), 0..50), vec(any::<u8>(), 1..40), 2_usize..5);
    let seen = Seen::default();
    TestRunner::new(config)
        .run(&strategy, |(schema, before, draws, choices, workers)| {
            holds(&Schema::of(&schema), (&before, &draws), &choices, workers, &seen)
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // The proof is over windows of which many are shared out, and over workers that have to wait.
    assert!(seen.shared_out.get() * 10 > seen.windows.get(), "{seen:?}");
    assert!(seen.waited.get() * 60 > seen.windows.get(), "{seen:?}");
    assert!(seen.statements_apart.get() * 200 > seen.windows.get(), "{seen:?}");
}

fn conflict(earlier: &Footprint, later: &Footprint) -> bool {
    let together = earlier.file == later.file
        && later.clock.sequence_number > 0
        && earlier.clock.sequence_number > later.clock.last_committed;
    let meets = |one: &Need, other: &Need| {
        one.key == other.key
            && (one.mode == Mode::Exclusive || other.mode == Mode::Exclusive)
            && (one.value.is_none() || other.value.is_none() || one.value == other.value)
    };
    earlier.everything
        || later.everything
        || ((earlier.statement || later.statement) && !together)
        || earlier.needs.iter().any(|one| later.needs.iter().any(|other| meets(one, other)))
}

/// The window and the worker of a transaction, and what its share waits for.
type Place = (u64, usize, Vec<(u64, usize)>);

/// What a drawn transaction is like.
type Sketch = (Vec<(u32, Option<u64>, bool)>, u8, i64, u8);

fn footprints(sketches: &[Sketch]) -> Vec<Footprint> {
    let (mut file, mut number) = (0, 0);
    sketches
        .iter()
        .map(|(needs, kind, back, turn)| {
            if turn % 16 == 0 {
                (file, number) = (file + 1, 0);
            }
            number += 1;
            let clock = if turn % 16 == 1 {
                Clock::default()
            } else {
                Clock { last_committed: (number - 1 - back).max(0), sequence_number: number }
            };
            let mut footprint = Footprint::new(clock, Arc::from(format!("b.{file}").as_str()), 1);
            footprint.everything = kind % 16 == 0;
            footprint.statement = kind % 16 < 3;
            footprint.needs = needs
                .iter()
                .map(|(key, value, shared)| Need {
                    key: *key,
                    // A value's number tells its key too.
                    value: value.map(|value| u64::from(*key) * 10 + value),
                    mode: if *shared { Mode::Shared } else { Mode::Exclusive },
                })
                .collect();
            footprint
        })
        .collect()
}

/// Windows of `size` transactions, all but `apart` of which write the same value.
fn with_one_large_component(size: usize, apart: usize) -> Vec<Footprint> {
    let footprint = |place: usize| {
        let mut footprint = Footprint::new(Clock::default(), Arc::from("b.000001"), 100);
        let value = if place < apart { place as u64 + 1 } else { 0 };
        footprint.needs = vec![Need { key: 0, value: Some(value), mode: Mode::Exclusive }];
        footprint
    };
    (0..size).map(footprint).collect()
}

#[test]
fn a_large_window_half_of_which_is_one_component_goes_to_one_worker() {
    for (size, apart, workers) in [
        (UNDIVIDED_FROM, UNDIVIDED_FROM / 5, 1),
        (UNDIVIDED_FROM, UNDIVIDED_FROM * 3 / 5, 3),
        (UNDIVIDED_FROM - 1, 2, 3),
    ] {
        let mut windows = Windows::default();
        let (_, shares) = windows.split(&with_one_large_component(size, apart), &[0, 0, 0]);
        assert_eq!(shares.len(), workers, "{size} {apart}");
        let members: usize = shares.iter().map(|share| share.members.len()).sum();
        assert_eq!(members, size);
        assert!(shares.iter().all(|share| share.members.is_sorted() && share.after.is_empty()));
        // What nobody has looked into follows all of it, and is followed by everything.
        let (unseen, shares) = windows.split(&[Footprint::of_anything(Arc::from("b.000001"), 1)], &[0, 0, 0]);
        let [share] = &shares[..] else { panic!("{shares:?}") };
        assert_eq!(share.after.len(), workers - 1);
        let (_, shares) = windows.split(&with_one_large_component(2, 2), &[0, 9, 9]);
        let follows =
            |next: &Share| next.worker == share.worker || next.after.contains(&(unseen, share.worker));
        assert!(shares.iter().all(follows), "{shares:?}");
    }
}

proptest! {
    #[test]
    fn what_conflicts_stays_with_one_worker_or_waits_for_the_other(
        sketches in vec((vec((0_u32..3, proptest::option::of(0_u64..4), any::<bool>()), 0..3), any::<u8>(), 0_i64..4, any::<u8>()), 1..40),
        size in 1_usize..12,
    ) {
        let all = footprints(&sketches);
        let mut windows = Windows::default();
        let mut places: Vec<Place> = Vec::new();
        for (index, window) in all.chunks(size).enumerate() {
            let (number, shares) = windows.split(window, &[0, 0, 0]);
            prop_assert_eq!(number, index as u64 + 1);
            let mut of = vec![None; window.len()];
            for share in shares {
                for member in share.members {
                    prop_assert!(of[member].replace((number, share.worker, share.after.clone())).is_none());
                }
            }
            places.extend(of.into_iter().map(|place| place.unwrap()));
        }
        for later in 0..all.len() {
            for earlier in 0..later {
                let ((window, worker, _), (_, own, after)) = (&places[earlier], &places[later]);
                if conflict(&all[earlier], &all[later]) && worker != own {
                    prop_assert!(after.contains(&(*window, *worker)), "{earlier} and {later} of {all:#?}");
                }
            }
        }
    }
}

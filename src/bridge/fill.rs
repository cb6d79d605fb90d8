//! Empty transactions under given GTIDs. By auto-position the native channel asks for everything that the target has not
//! executed, so the target is told of what the bridge applied under other GTIDs.
//!
//! Each is a commit of its own on the target. Several connections share the target's group commits: one alone would wait
//! for the disk each time. What is done is done: a second attempt asks the target what it still lacks.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use crate::bail;
use crate::error::Result;
use crate::position::{GtidSet, Sid};
use crate::wire::{Connection, Endpoint, Reply, refused};

/// Empty transactions in one packet.
const PACKET: u64 = 200;
/// Packets in flight on a connection.
const DEPTH: usize = 2;
/// Connections, at most.
const CONNECTIONS: u128 = 16;
/// How often the log says how far it is.
const TELL: Duration = Duration::from_secs(5);

/// What is left to do: the intervals, the next of them last.
type Left = Mutex<Vec<(Sid, RangeInclusive<u64>)>>;

/// Commits an empty transaction under each of these. May be dropped anywhere.
pub(super) async fn fill(target: &Endpoint, gtids: &GtidSet) -> Result<()> {
    let all = gtids.count();
    let left: Arc<Left> = Arc::new(Mutex::new(gtids.iter().map(|(sid, run)| (sid.clone(), run)).collect()));
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..all.div_ceil(u128::from(PACKET)).min(CONNECTIONS) {
        tasks.spawn(filler(target.clone(), Arc::clone(&left), Arc::clone(&done)));
    }
    let mut ticks = interval(TELL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    loop {
        tokio::select! {
            biased;
            ended = tasks.join_next() => match ended {
                None => return Ok(()),
                Some(Ok(filled)) => filled?,
                Some(Err(panic)) => bail!(Invariant, "giving GTIDs panicked: {panic}"),
            },
            _ = ticks.tick() => {
                info!(done = done.load(Ordering::Relaxed), of = %all, "handing back: giving the target GTIDs");
            }
        }
    }
}

async fn filler(target: Endpoint, left: Arc<Left>, done: Arc<AtomicU64>) -> Result<()> {
    let mut connection = Connection::connect(&target).await?;
    let mut in_flight = std::collections::VecDeque::new();
    loop {
        let next = if in_flight.len() < DEPTH {
            some_of(&mut left.lock().unwrap_or_else(PoisonError::into_inner))
        } else {
            None
        };
        if let Some((sid, run)) = next {
            let count = run.end() - run.start() + 1;
            connection.send_query(&[transactions(&sid, run).as_bytes()]).await?;
            in_flight.push_back(count);
        } else if let Some(count) = in_flight.pop_front() {
            answers(&mut connection, count).await?;
            done.fetch_add(count, Ordering::Relaxed);
        } else {
            connection.close().await;
            return Ok(());
        }
    }
}

/// The next packet's GTIDs, which are of one interval.
fn some_of(left: &mut Vec<(Sid, RangeInclusive<u64>)>) -> Option<(Sid, RangeInclusive<u64>)> {
    let (sid, run) = left.pop()?;
    let (first, last) = (*run.start(), *run.end());
    if last - first < PACKET {
        return Some((sid, run));
    }
    left.push((sid.clone(), first + PACKET..=last));
    Some((sid, first..=first + PACKET - 1))
}

fn transactions(sid: &Sid, run: RangeInclusive<u64>) -> String {
    let each: Vec<String> =
        run.map(|number| format!("SET gtid_next='{sid}:{number}';BEGIN;COMMIT")).collect();
    each.join(";")
}

async fn answers(connection: &mut Connection, transactions: u64) -> Result<()> {
    for _ in 0..transactions * 3 {
        if let Reply::Failed(server) = connection.read_reply().await? {
            return Err(refused(server).context("an empty transaction under a GTID of the source"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cut_from_intervals_and_nothing_is_left_out() {
        let set: GtidSet =
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-401:500, 4e11fa47-71ca-11e1-9e33-c80aa9429562:7-9"
                .parse()
                .unwrap();
        let mut left: Vec<_> = set.iter().map(|(sid, run)| (sid.clone(), run)).collect();
        let mut again = GtidSet::new();
        while let Some((sid, run)) = some_of(&mut left) {
            assert!(run.end() - run.start() < PACKET);
            assert!(again.add_interval(&sid, run));
        }
        assert_eq!(again, set);
    }

    #[test]
    fn a_packet_is_three_statements_for_each() {
        let set: GtidSet = "3e11fa47-71ca-11e1-9e33-c80aa9429562:5-6".parse().unwrap();
        let (sid, run) = set.iter().next().unwrap();
        assert_eq!(
            transactions(sid, run),
            "SET gtid_next='3e11fa47-71ca-11e1-9e33-c80aa9429562:5';BEGIN;COMMIT;\
             SET gtid_next='3e11fa47-71ca-11e1-9e33-c80aa9429562:6';BEGIN;COMMIT"
        );
    }
}

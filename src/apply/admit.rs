//! From transactions to jobs: XA is resolved, and what an earlier process applied is passed over.

use std::collections::{HashMap, HashSet};

use crate::bail;
use crate::error::Result;
use crate::position::{Gtid, GtidSet};
use crate::progress::{Done, Frontier};
use crate::transaction::{Body, Transaction, Unit, Xid};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// One target change to make: a transaction, and what is done once it is applied.
#[derive(Debug)]
pub struct Job {
    /// The transaction; never [`Body::Prepare`] or [`Body::Resolve`].
    pub transaction: Transaction,
    /// The prepared XA transaction that this one resolves.
    pub prepared: Option<Done>,
    /// Its share of the memory bound, given back when the job is committed.
    pub share: Option<Share>,
}

/// A unit on its way from the reader, with its share of the memory bound.
#[derive(Debug)]
pub struct Delivery {
    /// What the assembler handed on.
    pub unit: Unit,
    /// Given back when the unit is committed.
    pub share: Option<Share>,
}

/// A share of the memory bound.
#[derive(Debug)]
pub struct Share {
    _held: OwnedSemaphorePermit,
    since: Instant,
}

impl Share {
    /// Of a unit that was handed over at `since`.
    pub fn new(held: OwnedSemaphorePermit, since: Instant) -> Self {
        Self { _held: held, since }
    }

    /// How long ago the unit was handed over.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Job {
    /// What is done once the job is committed.
    pub fn done(&self) -> impl Iterator<Item = Done> {
        self.prepared.clone().into_iter().chain([done(&self.transaction)])
    }
}

fn done(transaction: &Transaction) -> Done {
    Done {
        seq: transaction.seq,
        end: transaction.end.clone(),
        gtid: transaction.gtid.clone(),
        committed_us: transaction.committed_us,
    }
}

/// XA transactions that are prepared and wait for their fate. The frontier does not pass them: after a crash they come
/// again.
#[derive(Debug)]
pub struct Admission {
    prepared: HashMap<Xid, Transaction>,
    held_bytes: usize,
    most_bytes: usize,
    /// GTIDs that need not be applied: the target has them.
    executed: GtidSet,
    /// Rolled back without having been held: the end of one whose `XA PREPARE` was skipped changes nothing.
    gone: HashSet<Xid>,
}

/// More than this at once are forgotten.
const MOST_GONE: usize = 1024;

impl Admission {
    /// Nothing prepared; at most `most_bytes` of events will be held.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            prepared: HashMap::new(),
            held_bytes: 0,
            most_bytes,
            executed: GtidSet::default(),
            gone: HashSet::new(),
        }
    }

    /// From now on passes over what the target has executed already.
    pub fn pass_over(&mut self, executed: GtidSet) {
        self.executed = executed;
    }

    /// Whether the target has executed this GTID already.
    pub fn has_executed(&self, gtid: Option<&Gtid>) -> bool {
        gtid.is_some_and(|gtid| self.executed.contains(gtid))
    }

    /// How many transactions wait for their fate.
    pub fn prepared(&self) -> usize {
        self.prepared.len()
    }

    /// What is to be done for a transaction now; nothing, if it waits or was applied by an earlier process.
    ///
    /// # Errors
    /// `BB3204` for an `XA COMMIT` whose `XA PREPARE` lies before the start position; `BB3205` if too much is held.
    pub fn admit(&mut self, mut transaction: Transaction, applied: &mut Frontier) -> Result<Option<Job>> {
        if applied.applied_earlier(transaction.seq) {
            // Its XA PREPARE, if it resolves one, was completed with it.
            if let Body::Resolve(xid, _) = &transaction.body {
                self.take(xid);
            }
            applied.complete(done(&transaction))?;
            return Ok(None);
        }
        // What is prepared waits in any case: its own end may not be executed yet.
        if self.has_executed(transaction.gtid.as_ref()) && !matches!(transaction.body, Body::Prepare(..)) {
            if let Body::Resolve(xid, _) = &transaction.body
                && let Some(prepared) = self.take(xid)
            {
                applied.complete(done(&prepared))?;
            }
            applied.complete(done(&transaction))?;
            return Ok(None);
        }
        match transaction.body {
            Body::Prepare(ref xid, _) => {
                let xid = xid.clone();
                self.hold(xid, transaction)?;
                Ok(None)
            }
            Body::Resolve(ref xid, commit) => {
                let held = self.take(xid);
                if held.is_none() && !commit {
                    if self.gone.len() >= MOST_GONE {
                        self.gone.clear();
                    }
                    self.gone.insert(xid.clone());
                } else if held.is_none() && !self.gone.remove(xid) {
                    bail!(
                        UnsafeStatement,
                        "XA COMMIT of a transaction prepared before the start position, at {}",
                        transaction.start
                    );
                }
                let prepared = held.as_ref().map(done);
                let changes = match held.map(|held| held.body) {
                    Some(Body::Prepare(_, changes)) if commit => changes,
                    _ => Vec::new(),
                };
                transaction.body = Body::Changes(changes);
                Ok(Some(Job { transaction, prepared, share: None }))
            }
            _ => Ok(Some(Job { transaction, prepared: None, share: None })),
        }
    }

    fn hold(&mut self, xid: Xid, transaction: Transaction) -> Result<()> {
        self.gone.remove(&xid);
        self.held_bytes += transaction.bytes;
        if self.held_bytes > self.most_bytes {
            bail!(
                TooLarge,
                "prepared XA transactions hold {} bytes, over the limit of {}",
                self.held_bytes,
                self.most_bytes
            );
        }
        if self.prepared.insert(xid, transaction).is_some() {
            bail!(BadEvent, "two XA transactions of the same XID are prepared at once");
        }
        Ok(())
    }

    fn take(&mut self, xid: &Xid) -> Option<Transaction> {
        let held = self.prepared.remove(xid)?;
        self.held_bytes -= held.bytes;
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Code;
    use crate::position::Coordinates;
    use crate::progress::{Mark, Ranges, Seq};
    use crate::transaction::{Clock, Format};

    fn at(seq: u64) -> Coordinates {
        Coordinates { file: "b.000001".into(), offset: seq * 100 }
    }

    fn transaction(seq: u64, body: Body) -> Transaction {
        Transaction {
            seq: Seq(seq),
            gtid: None,
            start: at(seq - 1),
            end: at(seq),
            committed_us: None,
            clock: Clock::default(),
            body,
            bytes: 10,
            streamed: false,
            format: Arc::new(Format(bytes::Bytes::new())),
        }
    }

    fn xid(name: &'static str) -> Xid {
        Xid { format_id: 1, gtrid: name.into(), bqual: "".into() }
    }

    fn frontier(earlier: &str) -> Frontier {
        Frontier::new(Mark { seq: Seq(0), at: Some(at(0)), gtids: None }, earlier.parse::<Ranges>().unwrap())
    }

    fn admit(admission: &mut Admission, applied: &mut Frontier, seq: u64, body: Body) -> Result<Option<Job>> {
        admission.admit(transaction(seq, body), applied)
    }

    #[test]
    fn a_prepared_transaction_holds_the_frontier_until_it_is_resolved() {
        let mut admission = Admission::new(100);
        let mut applied = frontier("");
        let prepare = Body::Prepare(xid("a"), Vec::new());
        assert!(admit(&mut admission, &mut applied, 1, prepare).unwrap().is_none());
        let other = admit(&mut admission, &mut applied, 2, Body::Changes(Vec::new())).unwrap().unwrap();
        other.done().for_each(|done| applied.complete(done).unwrap());
        assert_eq!(applied.low().seq, Seq(0));
        let commit = admit(&mut admission, &mut applied, 3, Body::Resolve(xid("a"), true)).unwrap().unwrap();
        assert_eq!(commit.done().map(|done| done.seq.0).collect::<Vec<_>>(), [1, 3]);
        commit.done().for_each(|done| applied.complete(done).unwrap());
        assert_eq!(applied.low().seq, Seq(3));
        assert_eq!(admission.prepared(), 0);
    }

    #[test]
    fn what_an_earlier_process_applied_is_not_a_job_again() {
        let mut admission = Admission::new(100);
        let mut applied = frontier("2-3");
        let prepare = Body::Prepare(xid("a"), Vec::new());
        assert!(admit(&mut admission, &mut applied, 1, prepare).unwrap().is_none());
        for seq in [2, 3] {
            assert!(admit(&mut admission, &mut applied, seq, Body::Changes(Vec::new())).unwrap().is_none());
        }
        assert_eq!(applied.done().to_string(), "2-3");
        assert!(admit(&mut admission, &mut applied, 4, Body::Resolve(xid("a"), false)).unwrap().is_some());
    }

    #[test]
    fn an_xa_commit_whose_prepare_lies_before_the_start_is_refused_and_its_rollback_passed() {
        let mut admission = Admission::new(100);
        let mut applied = frontier("");
        let error = admit(&mut admission, &mut applied, 1, Body::Resolve(xid("a"), true)).unwrap_err();
        assert_eq!(error.code(), Code::UnsafeStatement);
        assert!(admit(&mut admission, &mut applied, 1, Body::Resolve(xid("a"), false)).unwrap().is_some());
    }

    #[test]
    fn the_end_of_an_xa_transaction_whose_beginning_was_skipped_changes_nothing() {
        let mut admission = Admission::new(100);
        let mut applied = frontier("");
        assert!(admit(&mut admission, &mut applied, 1, Body::Resolve(xid("a"), false)).unwrap().is_some());
        assert_eq!(admission.prepared(), 0);
        let end = admit(&mut admission, &mut applied, 2, Body::Resolve(xid("a"), true)).unwrap().unwrap();
        assert!(matches!(&end.transaction.body, Body::Changes(changes) if changes.is_empty()));
        assert!(end.prepared.is_none());
        assert!(admit(&mut admission, &mut applied, 3, Body::Resolve(xid("a"), true)).is_err());
    }

    #[test]
    fn prepared_transactions_hold_a_bounded_number_of_bytes() {
        let mut admission = Admission::new(15);
        let mut applied = frontier("");
        admit(&mut admission, &mut applied, 1, Body::Prepare(xid("a"), Vec::new())).unwrap();
        let error = admit(&mut admission, &mut applied, 2, Body::Prepare(xid("b"), Vec::new())).unwrap_err();
        assert_eq!(error.code(), Code::TooLarge);
    }
}

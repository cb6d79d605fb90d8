//! A client of distributed transactions: prepared now, resolved later, with others in between.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::rds::RdsLike;
use super::Author;
use super::rows::counted;

pub(super) struct Distributed {
    n: u64,
    rng: fastrand::Rng,
    prepared: VecDeque<u64>,
}

const CLIENT: u32 = 5;

impl Author for Distributed {
    fn next(&mut self) -> String {
        if !self.prepared.is_empty() && (self.prepared.len() > 3 || self.rng.bool()) {
            let at = self.rng.usize(..self.prepared.len());
            if let Some(n) = self.prepared.remove(at) {
                let end = if self.rng.u8(..3) == 0 { "ROLLBACK" } else { "COMMIT" };
                return format!("XA {end} {}", xid(n));
            }
        }
        self.n += 1;
        let (n, xid) = (self.n, xid(self.n));
        // Rows of its own: those of a prepared transaction stay locked.
        let changes = format!(
            "INSERT INTO Shop.Held VALUES ({n}, {}, NOW(3)); UPDATE Shop.Held SET v = v + 1 WHERE id = {n}; \
             INSERT INTO Shop.Commits VALUES ({CLIENT}, {n}); INSERT INTO Shop.Journal VALUES ({CLIENT}, {n})",
            self.rng.u8(..100)
        );
        match self.rng.u8(..6) {
            0 => format!("XA START {xid}; {changes}; XA END {xid}; XA COMMIT {xid} ONE PHASE"),
            1 => format!("XA START {xid}; {changes}; XA END {xid}; XA ROLLBACK {xid}"),
            2 => format!("BEGIN; {}COMMIT", counted(CLIENT, n)),
            _ => {
                self.prepared.push_back(n);
                format!("XA START {xid}; {changes}; XA END {xid}; XA PREPARE {xid}")
            }
        }
    }

    fn farewell(&mut self) -> String {
        // After an error it is open in one of these states, or in none.
        let xid = xid(self.n);
        format!("XA END {xid}; XA ROLLBACK {xid}; ROLLBACK")
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(40)
    }
}

fn xid(n: u64) -> String {
    format!("'held-{n}', 'b', 7")
}

impl Distributed {
    pub(super) fn new(seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed.wrapping_mul(1000) + u64::from(CLIENT));
        Self { n: 0, rng, prepared: VecDeque::new() }
    }
}

/// Commits or rolls back what is still prepared.
pub(super) fn resolve_all(source: &RdsLike) {
    for row in source.sql("XA RECOVER").lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let &[format, global, _, ids] = fields.as_slice() else { panic!("XA RECOVER says '{row}'") };
        let (global, branch) = ids.split_at(global.parse().expect("a length"));
        let n: u64 = global.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let end = if n.is_multiple_of(2) { "COMMIT" } else { "ROLLBACK" };
        source.sql(&format!("XA {end} '{global}', '{branch}', {format}"));
    }
}

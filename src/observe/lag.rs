//! How far behind: a pure function of what is known. Lag is never falsely zero.

use std::cmp::Ordering;

use crate::position::Coordinates;

/// The oldest transaction that was received and is not past the stage. Times by this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When the source committed it, corrected by the clock offset; `None` where the source does not say.
    pub committed_us: Option<u64>,
    /// When it arrived here.
    pub arrived_us: u64,
}

/// What is known about the source's end of log, beside what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Neither a poll nor a heartbeat is recent enough, or the positions cannot be compared.
    Unknown,
    /// Everything up to the source's end was read.
    Reached,
    /// The source has more. What is missing was committed after this moment (the newest received commit, or when the
    /// end was last reached, whichever is later); `None` if neither is known.
    Beyond {
        /// That moment, by this machine's clock.
        since_us: Option<u64>,
    },
}

/// A lag, or why there is none to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// Microseconds behind; 0 means that nothing is missing.
    Known(u64),
    /// Not known, and why.
    Unknown(&'static str),
}

impl Lag {
    /// Seconds, if known.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of lag are far below 2^52")]
    pub fn seconds(self) -> Option<f64> {
        match self {
            Self::Known(us) => Some(us as f64 / 1e6),
            Self::Unknown(_) => None,
        }
    }
}

/// The age of the oldest source commit that is not past the stage.
///
/// | waiting here | source's end | lag |
/// |---|---|---|
/// | commit time known | any | now - commit time, but at least now - arrival (clocks may differ), at least 1 us |
/// | commit time not known | any | unknown |
/// | none | unknown | unknown |
/// | none | reached | 0 |
/// | none | beyond, since t | now - t, at least 1 us: what is missing is no older |
/// | none | beyond, since unknown | unknown |
///
/// The first line holds without any word from the source: what is waiting here is older than what was not sent yet.
pub fn lag(now_us: u64, waiting: Option<Waiting>, reach: Reach) -> Lag {
    match (waiting, reach) {
        (Some(Waiting { committed_us: Some(committed), arrived_us }), _) => {
            Lag::Known(now_us.saturating_sub(committed.min(arrived_us)).max(1))
        }
        (Some(Waiting { committed_us: None, .. }), _) => {
            Lag::Unknown("the source does not say when it committed what is waiting")
        }
        (None, Reach::Unknown) => {
            Lag::Unknown("the source's end of log is not known: no recent poll or heartbeat")
        }
        (None, Reach::Reached) => Lag::Known(0),
        (None, Reach::Beyond { since_us: Some(since) }) => Lag::Known(now_us.saturating_sub(since).max(1)),
        (None, Reach::Beyond { since_us: None }) => {
            Lag::Unknown("the source has more, and nothing received so far says from when")
        }
    }
}

/// Compares positions of one server's log; `None` for logs with different base names.
///
/// File numbers grow from six digits to seven, so a longer name is a later one.
pub fn compare(a: &Coordinates, b: &Coordinates) -> Option<Ordering> {
    if a.file == b.file {
        return Some(a.offset.cmp(&b.offset));
    }
    same_base(&a.file, &b.file).then(|| file_order(&a.file, &b.file))
}

fn file_order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn same_base(a: &str, b: &str) -> bool {
    base(a) == base(b)
}

fn base(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(base, _)| base)
}

/// Bytes of log from `from` to `to`, given the sizes of the source's files; `None` where a file between is not listed.
pub fn bytes_between(from: &Coordinates, to: &Coordinates, logs: &[(String, u64)]) -> Option<u64> {
    match compare(from, to)? {
        Ordering::Greater | Ordering::Equal => return Some(0),
        Ordering::Less if from.file == to.file => return Some(to.offset - from.offset),
        Ordering::Less => {}
    }
    let first = logs.iter().position(|(name, _)| **name == *from.file)?;
    let last = logs.iter().position(|(name, _)| **name == *to.file)?;
    let whole: u64 = logs.get(first..last)?.iter().map(|(_, size)| size).sum();
    Some(whole.saturating_sub(from.offset).saturating_add(to.offset))
}

/// What the source keeps before our position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeMargin {
    /// So many older files, of so many bytes, go before ours does.
    Kept {
        /// Older files.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// Our file is gone already.
    Gone,
}

/// How many files the source would purge before it comes to ours; `None` where its list says nothing about us.
pub fn purge_margin(at: &Coordinates, logs: &[(String, u64)]) -> Option<PurgeMargin> {
    let (oldest, _) = logs.first()?;
    if let Some(index) = logs.iter().position(|(name, _)| **name == *at.file) {
        let bytes = logs.iter().take(index).map(|(_, size)| size).sum();
        return Some(PurgeMargin::Kept { files: index, bytes });
    }
    (same_base(oldest, &at.file) && file_order(&at.file, oldest) == Ordering::Less)
        .then_some(PurgeMargin::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str, offset: u64) -> Coordinates {
        Coordinates { file: file.into(), offset }
    }

    fn logs() -> Vec<(String, u64)> {
        vec![("b.000001".to_owned(), 100), ("b.000002".to_owned(), 200), ("b.000003".to_owned(), 50)]
    }

    #[test]
    fn a_waiting_transaction_ages_with_the_clock_whatever_the_source_says() {
        let waiting = Some(Waiting { committed_us: Some(1_000_000), arrived_us: 1_500_000 });
        for reach in [Reach::Unknown, Reach::Reached, Reach::Beyond { since_us: None }] {
            assert_eq!(lag(3_000_000, waiting, reach), Lag::Known(2_000_000));
            assert_eq!(lag(4_000_000, waiting, reach), Lag::Known(3_000_000));
        }
    }

    #[test]
    fn a_source_clock_that_is_ahead_does_not_hide_the_time_spent_here() {
        let waiting = Some(Waiting { committed_us: Some(9_000_000), arrived_us: 1_000_000 });
        assert_eq!(lag(3_000_000, waiting, Reach::Reached), Lag::Known(2_000_000));
        assert_eq!(lag(500_000, waiting, Reach::Reached), Lag::Known(1), "waiting is never zero");
    }

    #[test]
    fn zero_needs_the_source_s_word() {
        assert_eq!(lag(5, None, Reach::Reached), Lag::Known(0));
        assert!(matches!(lag(5, None, Reach::Unknown), Lag::Unknown(_)));
        assert!(matches!(lag(5, None, Reach::Beyond { since_us: None }), Lag::Unknown(_)));
        assert_eq!(lag(5, None, Reach::Beyond { since_us: Some(5) }), Lag::Known(1));
        assert_eq!(lag(9, None, Reach::Beyond { since_us: Some(5) }), Lag::Known(4));
    }

    #[test]
    fn what_waits_without_a_commit_time_makes_the_lag_unknown() {
        let waiting = Some(Waiting { committed_us: None, arrived_us: 1 });
        assert!(matches!(lag(5, waiting, Reach::Reached), Lag::Unknown(_)));
    }

    #[test]
    fn the_file_after_999999_has_seven_digits_and_is_later() {
        assert_eq!(compare(&at("b.999999", 9), &at("b.1000000", 4)), Some(Ordering::Less));
        assert_eq!(compare(&at("b.000002", 4), &at("b.000001", 900)), Some(Ordering::Greater));
        assert_eq!(compare(&at("b.000002", 4), &at("other.000002", 4)), None);
    }

    #[test]
    fn bytes_behind_run_over_whole_files() {
        assert_eq!(bytes_between(&at("b.000001", 40), &at("b.000003", 10), &logs()), Some(60 + 200 + 10));
        assert_eq!(bytes_between(&at("b.000003", 10), &at("b.000003", 50), &logs()), Some(40));
        assert_eq!(bytes_between(&at("b.000003", 50), &at("b.000003", 10), &logs()), Some(0));
        assert_eq!(bytes_between(&at("b.000000", 4), &at("b.000003", 10), &logs()), None);
    }

    #[test]
    fn the_purge_margin_counts_older_files_and_tells_when_ours_is_gone() {
        assert_eq!(
            purge_margin(&at("b.000003", 4), &logs()),
            Some(PurgeMargin::Kept { files: 2, bytes: 300 })
        );
        assert_eq!(purge_margin(&at("b.000001", 4), &logs()), Some(PurgeMargin::Kept { files: 0, bytes: 0 }));
        assert_eq!(purge_margin(&at("b.000000", 4), &logs()), Some(PurgeMargin::Gone));
        assert_eq!(purge_margin(&at("c.000001", 4), &logs()), None);
        assert_eq!(purge_margin(&at("b.000001", 4), &[]), None);
    }
}

//! Whether the source keeps its binlog until it has been read. Pure.

use std::time::Duration;

/// How long the source keeps a binlog file after the next one was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// For ever, or nobody says.
    Unknown,
    /// Until the server itself needs it no longer (RDS without `binlog retention hours`).
    AsLittleAsPossible,
    /// So long.
    For(Duration),
}

/// The binlog file that is to be read next, and what follows it. Times in seconds since the epoch, by the source's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileFacts {
    /// When it was begun.
    pub(super) begun: u64,
    /// When the next one was.
    pub(super) next_begun: u64,
    /// Its bytes.
    pub(super) size: u64,
    /// Those of them that are read already.
    pub(super) read: u64,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It stays until it is read, as far as can be known.
    Stays,
    /// It may be purged at any moment.
    Expired,
    /// It will be purged before it is read, if reading is no faster than the source's writing was.
    TooSoon {
        /// How long it stays.
        left: Duration,
        /// How long reading takes at that pace.
        needed: Duration,
    },
}

/// A file is purged once it is older than the retention, counted from its last write: when the next one was begun. The
/// files behind it follow at the pace at which the source wrote them, so what reads this one in time at that pace reads
/// them all in time.
pub(super) fn outlook(kept: Kept, file: FileFacts, now: u64) -> Outlook {
    let kept = match kept {
        Kept::Unknown => return Outlook::Stays,
        Kept::AsLittleAsPossible => return Outlook::Expired,
        Kept::For(kept) => kept,
    };
    let purged_at = file.next_begun.saturating_add(kept.as_secs());
    if purged_at <= now {
        return Outlook::Expired;
    }
    let written_in = file.next_begun.saturating_sub(file.begun);
    let unread = u128::from(file.size.saturating_sub(file.read));
    let needed = u128::from(written_in) * unread / u128::from(file.size.max(1));
    let needed = Duration::from_secs(u64::try_from(needed).unwrap_or(u64::MAX));
    let left = Duration::from_secs(purged_at - now);
    if needed > left { Outlook::TooSoon { left, needed } } else { Outlook::Stays }
}

/// Whether a file stays whenever the next one was begun: it is not purged before the retention has passed since its own
/// beginning, and reading it takes no longer than writing it took, which is no more than its age.
pub(super) fn surely_stays(kept: Kept, begun: u64, now: u64) -> bool {
    match kept {
        Kept::Unknown => true,
        Kept::AsLittleAsPossible => false,
        Kept::For(kept) => kept.as_secs() / 2 > now.saturating_sub(begun),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    /// Written from hour 0 to hour 10, half read.
    const FILE: FileFacts = FileFacts { begun: 0, next_begun: 10 * HOUR, size: 1000, read: 500 };

    fn at(kept_hours: u64, now_hours: u64) -> Outlook {
        outlook(Kept::For(Duration::from_secs(kept_hours * HOUR)), FILE, now_hours * HOUR)
    }

    #[test]
    fn a_file_stays_while_there_is_time_to_read_it_at_the_pace_it_was_written() {
        assert_eq!(at(24, 11), Outlook::Stays);
        assert_eq!(at(24, 29), Outlook::Stays);
        let hours = |hours| Duration::from_secs(hours * HOUR);
        assert_eq!(at(24, 30), Outlook::TooSoon { left: hours(4), needed: hours(5) });
        assert_eq!(at(24, 34), Outlook::Expired);
        assert_eq!(at(1, 100), Outlook::Expired);
    }

    #[test]
    fn what_surely_stays_stays_whenever_the_next_file_was_begun() {
        let mut sure = 0;
        for (kept, now, next_begun) in
            (0..60).flat_map(|kept| (0..40).flat_map(move |now| (0..=now).map(move |next| (kept, now, next))))
        {
            let kept = Kept::For(Duration::from_secs(kept));
            if surely_stays(kept, 0, now) {
                sure += 1;
                let file = FileFacts { begun: 0, next_begun, size: 10, read: 0 };
                assert_eq!(outlook(kept, file, now), Outlook::Stays, "{kept:?} {now} {next_begun}");
            }
        }
        assert!(sure > 1000 && surely_stays(Kept::Unknown, 0, u64::MAX));
        assert!(!surely_stays(Kept::AsLittleAsPossible, 0, 0));
    }

    #[test]
    fn nobody_is_held_up_by_what_is_not_known() {
        assert_eq!(outlook(Kept::Unknown, FILE, u64::MAX), Outlook::Stays);
        assert_eq!(outlook(Kept::AsLittleAsPossible, FILE, 0), Outlook::Expired);
        let empty = FileFacts { begun: 5, next_begun: 5, size: 0, read: 0 };
        assert_eq!(outlook(Kept::For(Duration::from_secs(60)), empty, 10), Outlook::Stays);
        // Clocks that go backwards.
        let odd = FileFacts { begun: 50, next_begun: 5, size: 10, read: 20 };
        assert_eq!(outlook(Kept::For(Duration::from_secs(60)), odd, 10), Outlook::Stays);
    }
}

//! Up to where to apply.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use crate::bail;
use crate::error::{Error, Result};
use crate::position::{Coordinates, Gtid};

/// The place to stop at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Behind the last transaction that ends here or before.
    At(Coordinates),
    /// Behind this transaction.
    Gtid(Gtid),
    /// Behind the last transaction that the source committed up to this time, in microseconds since 1970.
    Time(u64),
}

/// A transaction that would be next, as far as it is known before its end is.
#[derive(Debug, Clone, Copy)]
pub struct Ahead<'a> {
    /// Where it begins.
    pub start: &'a Coordinates,
    /// Where it ends; not known of one so large that its parts go ahead.
    pub end: Option<&'a Coordinates>,
    /// When the source committed it.
    pub committed_us: Option<u64>,
}

impl Until {
    /// Whether the place lies before this transaction, so that it must not be applied. One that is too large to be held
    /// and begins before a position is applied, whatever its end.
    pub fn is_before(&self, next: Ahead<'_>) -> bool {
        match self {
            Self::At(at) => next.end.map_or(next.start >= at, |end| end > at),
            Self::Gtid(_) => false,
            Self::Time(us) => next.committed_us.is_some_and(|committed_us| committed_us > *us),
        }
    }

    /// Whether what was applied last ends at the place.
    pub fn is_reached(&self, end: &Coordinates, gtid: Option<&Gtid>) -> bool {
        match self {
            Self::At(at) => end >= at,
            Self::Gtid(wanted) => gtid == Some(wanted),
            Self::Time(_) => false,
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => at.fmt(f),
            Self::Gtid(gtid) => gtid.fmt(f),
            Self::Time(us) => humantime::format_rfc3339(UNIX_EPOCH + Duration::from_micros(*us)).fmt(f),
        }
    }
}

impl FromStr for Until {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some(us) = time(text) {
            return Ok(Self::Time(us));
        }
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        match text.parse() {
            Ok(gtid) => Ok(Self::Gtid(gtid)),
            Err(_) => bail!(
                Usage,
                "neither file:position nor a GTID nor a time such as 2026-01-31T12:00:00Z says where to stop"
            ),
        }
    }
}

/// RFC 3339 with `Z` or an offset, in microseconds since 1970.
fn time(text: &str) -> Option<u64> {
    let (_, clock) = text.split_once(['T', 't', ' '])?;
    let (local, ahead_s) = match clock.find(['+', '-']) {
        None => (text.to_ascii_uppercase(), 0),
        Some(at) => {
            let (sign, offset) = clock.split_at_checked(at)?.1.split_at_checked(1)?;
            let (hours, minutes) = offset.split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            let local = text.get(..text.len() - offset.len() - 1)?;
            (format!("{}Z", local.to_ascii_uppercase()), if sign == "-" { -seconds } else { seconds })
        }
    };
    let since = humantime::parse_rfc3339_weak(&local).ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(i64::try_from(since.as_micros()).ok()? - ahead_s * 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Coordinates {
        text.parse().unwrap()
    }

    fn until(text: &str) -> Until {
        text.parse().unwrap()
    }

    #[test]
    fn a_position_is_reached_behind_the_last_transaction_that_ends_there_or_before() {
        let until = until("b.000002:500");
        let (start, inside, exact, behind) =
            (at("b.000002:400"), at("b.000002:450"), at("b.000002:500"), at("b.000002:501"));
        let ends = |end| Ahead { start: &start, end: Some(end), committed_us: None };
        assert!(!until.is_before(ends(&inside)) && !until.is_reached(&inside, None));
        assert!(!until.is_before(ends(&exact)) && until.is_reached(&exact, None));
        assert!(until.is_before(ends(&behind)));
        let large = |start| Ahead { start, end: None, committed_us: None };
        assert!(!until.is_before(large(&inside)) && until.is_before(large(&exact)));
        assert!(until.is_reached(&at("b.000003:4"), None) && !until.is_reached(&at("b.000001:900"), None));
    }

    #[test]
    fn a_gtid_is_reached_behind_its_transaction() {
        let until = until("3e11fa47-71ca-11e1-9e33-c80aa9429562:7");
        let (end, other) = (at("b.000002:500"), "3e11fa47-71ca-11e1-9e33-c80aa9429562:8".parse().unwrap());
        let Until::Gtid(wanted) = &until else { panic!("{until}") };
        assert!(until.is_reached(&end, Some(wanted)));
        assert!(!until.is_reached(&end, Some(&other)) && !until.is_reached(&end, None));
    }

    #[test]
    fn a_time_includes_what_was_committed_at_it() {
        let until = until("2026-01-31T12:00:00Z");
        let Until::Time(us) = until else { panic!("{until}") };
        let (start, end) = (at("b.000002:400"), at("b.000002:500"));
        let next = |committed_us| Ahead { start: &start, end: Some(&end), committed_us };
        assert!(!until.is_before(next(Some(us))) && until.is_before(next(Some(us + 1))));
        assert!(!until.is_before(next(None)));
    }

    #[test]
    fn a_time_may_have_an_offset_and_fractions() {
        for (text, utc) in [
            ("2026-01-31T12:00:00.25+02:00", "2026-01-31T10:00:00.25Z"),
            ("2026-01-31 12:00:00-05:30", "2026-01-31T17:30:00Z"),
            ("2026-01-31t12:00:00z", "2026-01-31T12:00:00Z"),
        ] {
            assert_eq!(until(text), until(utc), "{text}");
        }
        assert!(until("2026-01-31T12:00:00Z").to_string().starts_with("2026-01-31T12:00:00"));
        for wrong in ["", "tomorrow", "2026-01-31", "12:00", "2026-01-31T12:00:00+2", "none"] {
            assert!(wrong.parse::<Until>().is_err(), "{wrong}");
        }
    }
}

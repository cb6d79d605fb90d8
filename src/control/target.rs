//! Which transaction is to be skipped.

use std::fmt;
use std::str::FromStr;

use crate::bail;
use crate::error::{Error, Result};
use crate::position::{Coordinates, Gtid};

/// A transaction that an operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The next one that would change anything.
    Current,
    /// The one of this GTID.
    Gtid(Gtid),
    /// The one that begins here, as errors name it.
    At(Coordinates),
}

/// A transaction, as far as it can be named.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Its number since the start position.
    pub seq: u64,
    /// Its GTID, if it has one.
    pub gtid: Option<&'a Gtid>,
    /// Where it begins.
    pub start: &'a Coordinates,
    /// Nothing in it is for the target.
    pub empty: bool,
}

impl Target {
    /// Whether this is the transaction.
    pub fn is(&self, transaction: Named<'_>) -> bool {
        match self {
            Self::Current => !transaction.empty,
            Self::Gtid(gtid) => transaction.gtid == Some(gtid),
            Self::At(start) => transaction.start == start,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("current"),
            Self::Gtid(gtid) => gtid.fmt(f),
            Self::At(start) => start.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text == "current" {
            return Ok(Self::Current);
        }
        if let Ok(start) = text.parse() {
            return Ok(Self::At(start));
        }
        match text.parse() {
            Ok(gtid) => Ok(Self::Gtid(gtid)),
            Err(_) => bail!(Usage, "neither a GTID nor file:position nor `current` names the transaction"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn a_transaction_is_named_by_gtid_by_its_beginning_or_as_the_next_that_changes_anything() {
        let (gtid, start) = (format!("{UUID}:5").parse().unwrap(), "b.000001:400".parse().unwrap());
        let named = Named { seq: 1, gtid: Some(&gtid), start: &start, empty: false };
        for text in ["current", &format!("{UUID}:5"), "b.000001:400"] {
            let target: Target = text.parse().unwrap();
            assert!(target.is(named), "{text}");
            assert_eq!(target.to_string(), text);
        }
        for text in [&format!("{UUID}:6"), "b.000001:401", "b.000002:400"] {
            assert!(!text.parse::<Target>().unwrap().is(named), "{text}");
        }
        assert!(!Target::Current.is(Named { empty: true, ..named }));
        assert!(!Target::Gtid(gtid.clone()).is(Named { gtid: None, ..named }));
    }

    #[test]
    fn what_names_no_single_transaction_is_refused() {
        for text in ["", "next", UUID, &format!("{UUID}:1-5"), "b.000001", "b.000001:3"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}

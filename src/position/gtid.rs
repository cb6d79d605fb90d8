//! Global transaction identifiers: who committed, under which tag, and the how many-th it was.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::bail;
use crate::error::{Error, Result};

/// The greatest transaction number (`GNO_END - 1` in the server's `rpl_gtid.h`).
pub const MAX_GNO: u64 = i64::MAX as u64 - 1;

const MAX_TAG: usize = 32;

/// The tag of a GTID (MySQL 8.3 and later): 1 to 32 of `[a-z0-9_]`, the first no digit. Always lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let good = text.len() <= MAX_TAG
            && text.bytes().next().is_some_and(first)
            && text.bytes().all(|byte| first(byte) || byte.is_ascii_digit());
        if !good {
            bail!(Position, "'{}' is not a GTID tag", shortened(text));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// Who numbers transactions: a server, and a tag if there is one. Orders as the server orders them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    /// The server's UUID.
    pub uuid: Uuid,
    /// The tag.
    pub tag: Option<Tag>,
}

impl Sid {
    /// The untagged transactions of a server.
    pub fn new(uuid: Uuid) -> Self {
        Self { uuid, tag: None }
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uuid)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

impl FromStr for Sid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (uuid, tag) = match text.split_once(':') {
            Some((uuid, tag)) => (uuid, Some(tag.trim().parse()?)),
            None => (text, None),
        };
        Ok(Self { uuid: parse_uuid(uuid)?, tag })
    }
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gtid {
    /// Who numbered it.
    pub sid: Sid,
    /// Its number, from 1 to [`MAX_GNO`].
    pub gno: u64,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sid, self.gno)
    }
}

impl FromStr for Gtid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((sid, gno)) = text.rsplit_once(':') else {
            bail!(Position, "'{}' is not a GTID, which is uuid:number or uuid:tag:number", shortened(text));
        };
        Ok(Self { sid: sid.parse()?, gno: parse_gno(gno)? })
    }
}

/// A server's UUID; as in the server, hyphens may be missing and braces may stand around it.
pub(super) fn parse_uuid(text: &str) -> Result<Uuid> {
    let text = text.trim();
    let foreign = text.starts_with("urn");
    match Uuid::parse_str(text) {
        Ok(uuid) if !foreign => Ok(uuid),
        _ => bail!(Position, "'{}' is not a server's UUID", shortened(text)),
    }
}

/// A transaction number.
pub(super) fn parse_gno(text: &str) -> Result<u64> {
    let text = text.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(gno) if digits && (1..=MAX_GNO).contains(&gno) => Ok(gno),
        _ => bail!(Position, "'{}' is not a transaction number from 1 to {MAX_GNO}", shortened(text)),
    }
}

/// As much of the operator's words as an error shows.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut short: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn gtids_are_written_in_lower_case_however_they_were_read() {
        for (text, shown) in [
            (format!("{UUID}:5"), format!("{UUID}:5")),
            (format!("{}:TAG_1:{MAX_GNO}", UUID.to_uppercase()), format!("{UUID}:tag_1:{MAX_GNO}")),
            (format!("{{{UUID}}} : _x : 7 "), format!("{UUID}:_x:7")),
            (format!("{}:1", UUID.replace('-', "")), format!("{UUID}:1")),
        ] {
            assert_eq!(text.parse::<Gtid>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_gtid_is_refused() {
        let long = format!("{UUID}:{}:1", "a".repeat(33));
        let wrong =
            ["", ":", UUID, &format!("{UUID}:0"), &format!("{UUID}:+1"), &format!("{UUID}:1-2"), &long];
        for text in wrong.into_iter().chain([
            &*format!("{UUID}:9223372036854775807"),
            &format!("{UUID}:1a:1"),
            &format!("{UUID}:a:b:1"),
            &format!("urn:uuid:{UUID}:1"),
            "x:1",
        ]) {
            assert_eq!(text.parse::<Gtid>().unwrap_err().code(), Code::Position, "{text}");
        }
    }

    #[test]
    fn errors_show_only_the_start_of_a_long_text() {
        let error = "語".repeat(1000).parse::<Tag>().unwrap_err().to_string();
        assert!(error.chars().count() < 120, "{error}");
    }
}

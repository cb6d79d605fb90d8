//! A place in a server's binlog, and where a stream starts.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::GtidSet;
use crate::bail;
use crate::error::{Error, Result};

/// A place in one server's binlog: the file's name and the offset of the next event in it.
///
/// Two places are in order only if they belong to one server. `mysql-bin.1000000` is behind `mysql-bin.999999`: the
/// number in the file name counts, not its digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coordinates {
    /// The file as the server names it, without a path.
    pub file: Arc<str>,
    /// Bytes from the start of the file; the first event is at 4.
    pub offset: u64,
}

impl Coordinates {
    /// The place `offset` bytes into `file`.
    pub fn new(file: impl Into<Arc<str>>, offset: u64) -> Self {
        Self { file: file.into(), offset }
    }

    /// The file's base name and its running number; `None` where the name ends in no number.
    pub(super) fn numbered(file: &str) -> Option<(&str, u64)> {
        let (base, digits) = file.rsplit_once('.')?;
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !base.is_empty();
        if number { Some((base, digits.parse().ok()?)) } else { None }
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

impl FromStr for Coordinates {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((file, offset)) = text.trim().rsplit_once(':') else {
            bail!(Position, "'{text}' is not file:offset, such as mysql-bin.000123:456");
        };
        let stray = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == '\\';
        if file.contains(stray) || Self::numbered(file).is_none() {
            bail!(Position, "'{file}' is not a binlog file name, which looks like mysql-bin.000123");
        }
        match offset.parse() {
            Ok(offset) if offset >= 4 => Ok(Self::new(file, offset)),
            Ok(offset) => {
                bail!(Position, "offset {offset} in {file}: the first event of a binlog file is at 4")
            }
            Err(_) => bail!(Position, "'{offset}' is not an offset in {file}"),
        }
    }
}

impl Ord for Coordinates {
    fn cmp(&self, other: &Self) -> Ordering {
        Self::numbered(&self.file)
            .cmp(&Self::numbered(&other.file))
            .then_with(|| self.file.cmp(&other.file))
            .then_with(|| self.offset.cmp(&other.offset))
    }
}

impl PartialOrd for Coordinates {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Where a stream starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At this place of the source's binlog.
    File(Coordinates),
    /// With the first transaction that is not in the set.
    Gtid(GtidSet),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(coordinates) => coordinates.fmt(f),
            Self::Gtid(set) => set.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn at(text: &str) -> Coordinates {
        text.parse().unwrap()
    }

    #[test]
    fn coordinates_are_written_as_they_are_read() {
        for text in ["mysql-bin-changelog.000123:4", "a.b.c.0001:18446744073709551615", "binlog.1000000:157"]
        {
            assert_eq!(at(text).to_string(), text);
        }
        assert_eq!(at(" binlog.000001:4\n"), Coordinates::new("binlog.000001", 4));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let wrong = [
            "",
            ":",
            "binlog.000001",
            "binlog.000001:",
            "binlog.000001:3",
            "binlog.000001:-4",
            "db.example:3306",
            "binlog.:4",
            ".000001:4",
            "/var/lib/binlog.000001:4",
            "bin log.000001:4",
            "binlog.000001:4x",
            "binlog.000001:18446744073709551616",
            "binlog.99999999999999999999999:4",
            "localhost:3306",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Coordinates>().unwrap_err().code(), Code::Position, "{text}");
        }
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        let order =
            ["binlog.000002:9", "binlog.000010:4", "binlog.999999:4", "binlog.1000000:4", "binlog.1000000:5"];
        for pair in order.windows(2) {
            assert!(at(pair[0]) < at(pair[1]), "{pair:?}");
        }
    }
}

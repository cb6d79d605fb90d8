//! The text form: `uuid:1-5:8:tag:1-2,uuid:..`, with both ends of an interval in the set.

use std::fmt;
use std::str::FromStr;

use super::GtidSet;
use crate::bail;
use crate::error::{Error, Result};
use crate::position::gtid::{Sid, parse_gno, parse_uuid, shortened};

impl fmt::Display for GtidSet {
    /// One line, sets separated by a comma; the tags of a server follow its untagged transactions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous: Option<&Sid> = None;
        for (sid, gnos) in self.iter() {
            let same_server = previous.is_some_and(|previous| previous.uuid == sid.uuid);
            match previous {
                _ if same_server => {}
                Some(_) => write!(f, ",{}", sid.uuid)?,
                None => write!(f, "{}", sid.uuid)?,
            }
            if let Some(tag) = &sid.tag
                && previous != Some(sid)
            {
                write!(f, ":{tag}")?;
            }
            previous = Some(sid);
            if gnos.start() == gnos.end() {
                write!(f, ":{}", gnos.start())?;
            } else {
                write!(f, ":{}-{}", gnos.start(), gnos.end())?;
            }
        }
        Ok(())
    }
}

impl FromStr for GtidSet {
    type Err = Error;

    /// Reads what servers print: white space and line ends between the parts, empty parts between commas and a leading
    /// `+` (as in `SET GTID_PURGED='+..'`) are allowed. A server without a number and an interval that runs backwards
    /// are refused, though a server would take them for empty: whoever wrote them meant something else.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim_start();
        let text = text.strip_prefix('+').unwrap_or(text);
        let mut set = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            add_server(&mut set, part)?;
        }
        Ok(set)
    }
}

/// Adds one `uuid:interval:..:tag:interval..`.
fn add_server(set: &mut GtidSet, text: &str) -> Result<()> {
    let mut parts = text.split(':').map(str::trim);
    let mut sid = Sid::new(parse_uuid(parts.next().unwrap_or_default())?);
    let mut bare = true;
    for part in parts {
        if part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            if bare && sid.tag.is_some() {
                bail!(Position, "no transaction number stands behind {sid} in a GTID set");
            }
            sid.tag = Some(part.parse()?);
            bare = true;
            continue;
        }
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_gno(first)?, parse_gno(last)?);
        if last < first {
            bail!(Position, "the interval '{}' of {sid} runs backwards", shortened(part));
        }
        set.add_interval(&sid, first..=last);
        bare = false;
    }
    if bare {
        bail!(Position, "no transaction number stands behind {sid} in a GTID set");
    }
    Ok(())
}

//! The binary form, as in `PREVIOUS_GTIDS` events and `COM_BINLOG_DUMP_GTID`.
//!
//! Eight bytes say how many servers follow; if the highest byte is 1 the set is *tagged*, the number stands in bits 8
//! to 55 and the lowest byte repeats the 1 (`Gtid_set::encode_nsids_format`, server file `rpl_gtid_set.cc`). Each server:
//! 16 bytes of UUID, in a tagged set the tag's length and text, the number of intervals in eight bytes, and per interval
//! first and one past the last number in eight bytes each. All little-endian.

use uuid::Uuid;

use super::GtidSet;
use crate::bail;
use crate::error::{Code, Result};
use crate::position::gtid::{MAX_GNO, Sid, Tag};

const TAGGED: u64 = 1;
const FORMAT_SHIFT: u32 = 56;
const TAGGED_COUNT_SHIFT: u32 = 8;
const TAGGED_COUNT_MASK: u64 = (1 << 48) - 1;
const INTERVAL: usize = 16;

impl GtidSet {
    /// The set as bytes; the tagged form only if a tag is in it, since servers before 8.3 know the other one only.
    pub fn encode(&self) -> Vec<u8> {
        let tagged = self.is_tagged();
        let count = self.sids.len() as u64;
        let head = if tagged { TAGGED << FORMAT_SHIFT | count << TAGGED_COUNT_SHIFT | TAGGED } else { count };
        let mut bytes = head.to_le_bytes().to_vec();
        for (sid, intervals) in &self.sids {
            bytes.extend_from_slice(sid.uuid.as_bytes());
            if tagged {
                encode_tag(&mut bytes, sid.tag.as_ref());
            }
            bytes.extend_from_slice(&(intervals.as_slice().len() as u64).to_le_bytes());
            for (start, end) in intervals.as_slice() {
                bytes.extend_from_slice(&start.to_le_bytes());
                bytes.extend_from_slice(&end.to_le_bytes());
            }
        }
        bytes
    }

    /// The set that `bytes` hold; every byte must belong to it. Nothing is allocated for what the bytes only promise.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut rest = Rest(bytes);
        let head = rest.number()?;
        let tagged = match head >> FORMAT_SHIFT {
            0 => false,
            TAGGED => true,
            format => bail!(BadEvent, "GTID set in the unknown format {format}"),
        };
        let count = if tagged { head >> TAGGED_COUNT_SHIFT & TAGGED_COUNT_MASK } else { head };
        let mut set = Self::default();
        for _ in 0..count {
            rest.server(tagged, &mut set)?;
        }
        if !rest.0.is_empty() {
            bail!(BadEvent, "{} bytes too many behind a GTID set of {count} servers", rest.0.len());
        }
        Ok(set)
    }
}

/// The length is a variable-length number of the server's serialization library: up to 63 it is one byte, shifted left
/// by one.
fn encode_tag(bytes: &mut Vec<u8>, tag: Option<&Tag>) {
    let text = tag.map_or("", Tag::as_str);
    bytes.push(u8::try_from(text.len() << 1).unwrap_or_default());
    bytes.extend_from_slice(text.as_bytes());
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            bail!(BadEvent, "GTID set is cut short: {length} bytes wanted, {} there", self.0.len());
        };
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64> {
        Ok(self.take(8)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn server(&mut self, tagged: bool, set: &mut GtidSet) -> Result<()> {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(self.take(16)?);
        let tag = if tagged { self.tag()? } else { None };
        let sid = Sid { uuid: Uuid::from_bytes(uuid), tag };
        let count = self.number()?;
        if count > (self.0.len() / INTERVAL) as u64 {
            bail!(BadEvent, "GTID set is cut short: {count} intervals of {sid} in {} bytes", self.0.len());
        }
        let mut previous = 0;
        for _ in 0..count {
            let (start, end) = (self.number()?, self.number()?);
            // As the server has it: ascending, and with a gap between two intervals.
            if start <= previous || end <= start || end > MAX_GNO + 1 {
                bail!(BadEvent, "GTID set with the interval [{start}, {end}) of {sid} behind {previous}");
            }
            set.add_interval(&sid, start..=end - 1);
            previous = end;
        }
        Ok(())
    }

    fn tag(&mut self) -> Result<Option<Tag>> {
        let length = self.take(1)?.first().copied().unwrap_or_default();
        if length & 1 == 1 {
            bail!(BadEvent, "GTID set with a tag of more than 63 characters");
        }
        let text = self.take(usize::from(length >> 1))?;
        if text.is_empty() {
            return Ok(None);
        }
        let tag = String::from_utf8_lossy(text)
            .parse()
            .map_err(|e: crate::error::Error| e.with_code(Code::BadEvent))?;
        Ok(Some(tag))
    }
}

//! The row on the target that says who applies, the native channel or the bridge, and what an operator wants.

use std::fmt;
use std::str::FromStr;

use crate::bail;
use crate::clock::now_us;
use crate::error::{Code, Error, Result};
use crate::position::{Coordinates, GtidSet, Start};
use crate::progress::Tables;
use crate::wire::{Connection, quote_text};

/// Who applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The native channel; the bridge watches. Set by the end of a hand-back, or at the first start beside a channel.
    Standby,
    /// Nobody: the channel is being stopped and its position read. Set by the policy or by command.
    TakingOver,
    /// The bridge. Set together with the position it starts from.
    Active,
    /// Nobody: the channel is being pointed at the bridge's last transaction and started. Set once the bridge has drained.
    HandingBack,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Standby, Self::TakingOver, Self::Active, Self::HandingBack];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::TakingOver => "taking_over",
            Self::Active => "active",
            Self::HandingBack => "handing_back",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operator asked for and is not done yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// That the bridge applies.
    Takeover,
    /// That the native channel does.
    Handback,
}

impl Wanted {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Takeover => "takeover",
            Self::Handback => "handback",
        }
    }
}

impl FromStr for Wanted {
    type Err = ();

    fn from_str(word: &str) -> std::result::Result<Self, ()> {
        match word {
            "takeover" => Ok(Self::Takeover),
            "handback" => Ok(Self::Handback),
            _ => Err(()),
        }
    }
}

/// What the row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Who applies.
    pub phase: Phase,
    /// While handing back: the channel may have been started, so it must not be pointed anywhere any more.
    pub started: bool,
    /// What an operator asked for.
    pub wanted: Option<Wanted>,
    /// Whether by GTID or by file and offset; as the channel does if not said.
    pub by_gtid: Option<bool>,
    /// Up to where the bridge has applied everything, while handing back.
    pub at: Option<Start>,
    /// Why the phase is what it is.
    pub reason: String,
}

impl Room {
    /// A room in `phase`, nothing else known.
    pub fn new(phase: Phase, reason: impl Into<String>) -> Self {
        Self { phase, started: false, wanted: None, by_gtid: None, at: None, reason: reason.into() }
    }

    /// Reads the row; none if there is none yet.
    ///
    /// # Errors
    /// `BB4012` for a row that this version does not write; those of the connection.
    pub async fn read(connection: &mut Connection, tables: &Tables) -> Result<Option<Self>> {
        let sql = format!(
            "SELECT phase, started, wanted, by_gtid, at_file, at_pos, at_gtid_set, reason FROM {} WHERE {}",
            tables.table("native"),
            tables.mine()
        );
        let rows = connection.query(&sql).await?;
        let Some(row) = rows.rows.first() else { return Ok(None) };
        let text = |index: usize| row.text(index);
        let damaged = |column: &str| {
            Error::new(Code::Progress, format!("the row in {}: column `{column}`", tables.table("native")))
        };
        let phase = Phase::ALL.into_iter().find(|phase| text(0) == Some(phase.as_str()));
        let at = match (text(6), text(4), text(5).and_then(|offset| offset.parse().ok())) {
            (Some(set), ..) => Some(Start::Gtid(set.parse::<GtidSet>().map_err(|_| damaged("at_gtid_set"))?)),
            (None, Some(file), Some(offset)) => Some(Start::File(Coordinates { file: file.into(), offset })),
            _ => None,
        };
        Ok(Some(Self {
            phase: phase.ok_or_else(|| damaged("phase"))?,
            started: text(1) == Some("1"),
            wanted: text(2).and_then(|word| word.parse().ok()),
            by_gtid: text(3).map(|flag| flag == "1"),
            at,
            reason: text(7).unwrap_or_default().to_owned(),
        }))
    }

    /// The statement that makes the row say this.
    pub fn write(&self, tables: &Tables) -> String {
        let text = |value: Option<&str>| value.map_or("NULL".to_owned(), quote_text);
        let (file, offset, gtids) = match &self.at {
            None => ("NULL".to_owned(), "NULL".to_owned(), "NULL".to_owned()),
            Some(Start::File(at)) => (quote_text(&at.file), at.offset.to_string(), "NULL".to_owned()),
            Some(Start::Gtid(set)) => ("NULL".to_owned(), "NULL".to_owned(), quote_text(&set.to_string())),
        };
        format!(
            "REPLACE INTO {} (bridge, phase, started, wanted, by_gtid, at_file, at_pos, at_gtid_set, reason, since_us) \
             VALUES ({}, '{}', {}, {}, {}, {file}, {offset}, {gtids}, {}, {})",
            tables.table("native"),
            tables.name(),
            self.phase,
            u8::from(self.started),
            text(self.wanted.map(Wanted::as_str)),
            self.by_gtid.map_or("NULL", |yes| if yes { "1" } else { "0" }),
            quote_text(&self.reason),
            now_us()
        )
    }

    /// The statement by which an operator asks for something.
    pub fn ask(tables: &Tables, wanted: Wanted, by_gtid: Option<bool>) -> String {
        format!(
            "UPDATE {} SET wanted = '{}', by_gtid = {} WHERE {}",
            tables.table("native"),
            wanted.as_str(),
            by_gtid.map_or("NULL", |yes| if yes { "1" } else { "0" }),
            tables.mine()
        )
    }

    /// The statement that takes back what was asked for.
    pub fn withdraw(tables: &Tables) -> String {
        let (table, mine) = (tables.table("native"), tables.mine());
        format!("UPDATE {table} SET wanted = NULL, by_gtid = NULL WHERE {mine}")
    }

    /// The statement that says why what was asked for is not done.
    pub fn refuse(tables: &Tables, reason: &str) -> String {
        let (table, mine) = (tables.table("native"), tables.mine());
        let reason = quote_text(reason);
        format!("UPDATE {table} SET wanted = NULL, by_gtid = NULL, reason = {reason} WHERE {mine}")
    }

    /// The statement that ends a change in `phase`. What was asked for meanwhile, and is not what has just been done, stays
    /// asked for.
    pub fn arrive(tables: &Tables, phase: Phase, reason: &str) -> String {
        let next = match phase {
            Phase::Active => Wanted::Handback,
            _ => Wanted::Takeover,
        };
        format!(
            "UPDATE {} SET phase = '{phase}', started = 0, by_gtid = IF(wanted = '{next}', by_gtid, NULL), \
             wanted = IF(wanted = '{next}', wanted, NULL), at_file = NULL, at_pos = NULL, at_gtid_set = NULL, \
             reason = {}, since_us = {} WHERE {}",
            tables.table("native"),
            quote_text(reason),
            now_us(),
            tables.mine(),
            next = next.as_str()
        )
    }

    /// The statement before the channel is started: from then on it has a place of its own.
    pub fn mark_started(tables: &Tables) -> String {
        format!("UPDATE {} SET started = 1 WHERE {}", tables.table("native"), tables.mine())
    }

    /// # Errors
    /// `BB4013` if what is wanted is not possible in this phase.
    pub fn require(&self, wanted: Wanted) -> Result<()> {
        match (wanted, self.phase) {
            (Wanted::Takeover, Phase::Active) => {
                bail!(NativeChannel, "the bridge applies already: there is nothing to take over")
            }
            (Wanted::Handback, Phase::Standby) => {
                bail!(NativeChannel, "the native channel applies already: there is nothing to hand back")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_done_leaves_the_opposite_request_and_takes_its_own_away() {
        let tables = Tables::new("binbridge", "main");
        let active = Room::arrive(&tables, Phase::Active, "by command");
        assert!(active.contains("wanted = IF(wanted = 'handback', wanted, NULL)"), "{active}");
        // Assignments run from the left: what `by_gtid` asks for must still be there.
        assert!(active.find("by_gtid = IF(").unwrap() < active.find(", wanted = IF(").unwrap(), "{active}");
        let standby = Room::arrive(&tables, Phase::Standby, "by command");
        assert!(standby.contains("wanted = IF(wanted = 'takeover', wanted, NULL)"), "{standby}");
    }

    #[test]
    fn what_is_so_already_cannot_be_asked_for() {
        let room = |phase| Room::new(phase, "");
        assert!(room(Phase::Active).require(Wanted::Takeover).is_err());
        assert!(room(Phase::Standby).require(Wanted::Handback).is_err());
        for phase in [Phase::TakingOver, Phase::HandingBack] {
            assert!(
                room(phase).require(Wanted::Takeover).is_ok()
                    && room(phase).require(Wanted::Handback).is_ok()
            );
        }
    }
}

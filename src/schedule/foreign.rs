//! Foreign keys within a segment: which pairs of changes its order serves.
//!
//! A segment deletes (children before parents), inserts (parents before children), then updates. So a parent may arrive
//! in an insert and its child in an insert or an update, and a child may leave in a delete and its parent in a delete or
//! an update: whatever order they came in, the parent is there as long as the child is. Any other pair over one value
//! ends the segment.

use super::claims::Claim;
use super::held::{Group, Held, SegmentId};

/// When in a segment a value comes or goes, as bits.
pub(super) type Phases = u8;

/// A row with this value is deleted.
pub(super) const LEAVES_DELETED: Phases = 1;
/// A row with this value is inserted.
pub(super) const COMES_INSERTED: Phases = 2;
/// A row is updated from this value.
pub(super) const LEAVES_UPDATED: Phases = 4;
/// A row is updated to this value.
pub(super) const COMES_UPDATED: Phases = 8;
/// An inserted row has this value only since a later update: its place among the inserts is not right for it.
pub(super) const COMES_LATE: Phases = 16;

/// The end of a foreign key that a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// It is referred to.
    Parent,
    /// It refers.
    Child,
}

/// How the rows of the two tables stand in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The parent's inserts before the child's, the child's deletes before the parent's.
    Served,
    /// One table, whose rows keep the stream's order within a kind.
    Own,
    /// Tables that refer to one another in a circle.
    Against,
}

/// What a segment holds of a foreign key.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) standing: Standing,
    segment: SegmentId,
    /// Anywhere, of parents and children.
    all: Both,
    /// Of values that are not known.
    whole: Both,
}

/// Phases of parents and of children.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Both {
    parent: Phases,
    child: Phases,
}

impl Both {
    fn of(self, side: Side) -> Phases {
        match side {
            Side::Parent => self.parent,
            Side::Child => self.child,
        }
    }

    fn add(&mut self, side: Side, phase: Phases) {
        match side {
            Side::Parent => self.parent |= phase,
            Side::Child => self.child |= phase,
        }
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Parent => Self::Child,
            Self::Child => Self::Parent,
        }
    }
}

impl Relation {
    pub(super) fn new(standing: Standing) -> Self {
        Self { standing, segment: 0, all: Both::default(), whole: Both::default() }
    }

    /// The phases of the other side that a change of this phase may stand with.
    fn stands_with(&self, side: Side, phase: Phases) -> Phases {
        let within_a_kind = self.standing != Standing::Against;
        let only = |phases: Phases, if_ordered: Phases| phases | if within_a_kind { if_ordered } else { 0 };
        match (side, phase) {
            (Side::Parent, COMES_INSERTED) => only(COMES_UPDATED, COMES_INSERTED),
            (Side::Parent, LEAVES_DELETED) => only(0, LEAVES_DELETED),
            (Side::Parent, LEAVES_UPDATED) => LEAVES_DELETED,
            (Side::Child, COMES_INSERTED) => only(0, COMES_INSERTED),
            (Side::Child, COMES_UPDATED) => COMES_INSERTED,
            (Side::Child, LEAVES_DELETED) => only(LEAVES_UPDATED, LEAVES_DELETED),
            _ => 0,
        }
    }

    /// Whether a change may join the segment.
    pub(super) fn admits(&self, at: Meeting<'_>, side: Side, phase: Phases, claim: Claim) -> bool {
        if self.segment != at.segment {
            return true;
        }
        let there = match claim {
            Claim::Nothing => 0,
            Claim::Whole => self.all.of(side.other()),
            Claim::Value(hash) => {
                let value = at.held.find(hash, at.group, at.segment).unwrap_or_default();
                value.of(side.other()) | self.whole.of(side.other())
            }
        };
        there & !self.stands_with(side, phase) == 0
    }

    /// Notes a change that joined.
    pub(super) fn note(
        &mut self,
        held: &mut Held<Both>,
        (group, segment): (Group, SegmentId),
        side: Side,
        phase: Phases,
        claim: Claim,
    ) {
        if self.segment != segment {
            *self = Self { segment, ..Self::new(self.standing) };
        }
        match claim {
            Claim::Nothing => return,
            Claim::Whole => self.whole.add(side, phase),
            Claim::Value(hash) => {
                if let Some(value) = held.entry(hash, group, segment) {
                    value.add(side, phase);
                }
            }
        }
        self.all.add(side, phase);
    }
}

/// Where a claim is looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meeting<'h> {
    pub(super) held: &'h Held<Both>,
    pub(super) group: Group,
    pub(super) segment: SegmentId,
}

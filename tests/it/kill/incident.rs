//! What may befall a bridge.

use binbridge::failpoint;

/// What may befall a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incident {
    /// `kill -9` at a random moment.
    Kill,
    /// Dies at a named point.
    Point(&'static str),
    /// The target commits, and the connection is cut before its answer arrives.
    ReplyLost,
    /// The connection is cut right after the answer to a COMMIT.
    ReplyLast,
    /// The connection to the target is cut at some answer.
    TargetCut,
    /// What the bridge had sent reaches the target after the bridge has connected again.
    Late(Late),
    /// The connection to the source is cut, mostly inside a transaction.
    SourceCut,
    /// The source stops and starts again.
    SourceRestart,
    /// `kill -9` of the source.
    SourceKill,
    /// The target stops and starts again.
    TargetRestart,
    /// `kill -9` of the target.
    TargetKill,
    /// The bridge is stopped (as in a virtual machine that hangs), another starts, the first goes on.
    Replaced,
}

/// From where on packets are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// Whole packets of batches.
    Batch,
    /// The end of a packet.
    Commit,
    /// Later pieces of a large transaction: its beginning has run, and its locks are held.
    Piece,
    /// A DDL statement.
    Ddl,
}

const OTHERS: [Incident; 14] = [
    Incident::Kill,
    Incident::Kill,
    Incident::ReplyLost,
    Incident::ReplyLast,
    Incident::TargetCut,
    Incident::Late(Late::Batch),
    Incident::Late(Late::Commit),
    Incident::Late(Late::Piece),
    Incident::Late(Late::Ddl),
    Incident::SourceCut,
    Incident::SourceKill,
    Incident::TargetRestart,
    Incident::TargetKill,
    Incident::Replaced,
];

/// Each incident once, in some order.
pub(super) fn deck(rng: &mut fastrand::Rng) -> Vec<Incident> {
    let points = failpoint::NAMES.iter().map(|&name| Incident::Point(name));
    let mut deck: Vec<Incident> = points.chain(OTHERS).chain([Incident::SourceRestart]).collect();
    rng.shuffle(&mut deck);
    deck
}

impl Incident {
    /// Any of them; mostly quick ones.
    pub(super) fn any(rng: &mut fastrand::Rng) -> Self {
        match rng.u8(..10) {
            0..=3 => Self::Kill,
            4..=6 => Self::Point(failpoint::NAMES[rng.usize(..failpoint::NAMES.len())]),
            _ => OTHERS[rng.usize(..OTHERS.len())],
        }
    }
}

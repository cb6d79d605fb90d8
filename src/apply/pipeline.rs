//! Packets on their way to the target, and their answers.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::bail;
use crate::error::{Result, ServerError};
use crate::progress::Seq;
use crate::wire::Reply;

use super::buffers::Buffers;
use super::traffic::Traffic;
use super::{Batch, Packet, Session};

/// What a packet is.
#[derive(Debug)]
pub(super) enum Load {
    /// The source's format, for the session.
    Prelude,
    /// Whole transactions; ends in `COMMIT`.
    Batch(Batch),
    /// A new place of the frontier, without a transaction.
    Row(Seq),
    /// A piece of a large transaction; leaves the target's transaction open.
    Part,
}

impl Load {
    fn name(&self) -> &'static str {
        match self {
            Self::Prelude => "format description",
            Self::Batch(_) => "batch",
            Self::Row(_) => "progress row",
            Self::Part => "part of a transaction",
        }
    }
}

#[derive(Debug)]
struct Sent {
    load: Load,
    replies_left: usize,
    at: Instant,
    /// When every answer was there but that to the last statement.
    changed: Option<Instant>,
}

/// How long the target had a packet, from when nothing was before it on its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    /// Up to the last statement.
    pub(super) apply: Duration,
    /// The last statement: a batch's `COMMIT`.
    pub(super) commit: Duration,
}

impl Took {
    pub(super) fn total(self) -> Duration {
        self.apply + self.commit
    }
}

/// What an answer settled.
#[derive(Debug)]
pub(super) enum Outcome {
    /// More answers of the same packet are to come.
    Pending,
    /// The packet ran to its end; with the time it had the target to itself.
    Done(Load, Took),
    /// A statement failed; the server ran nothing behind it, and nothing of the packet is committed.
    Failed(Load, ServerError),
}

/// A session with packets in flight.
pub(super) struct Pipeline {
    pub(super) session: Session,
    in_flight: VecDeque<Sent>,
    pub(super) buffers: Buffers,
    pub(super) traffic: Traffic,
    last_done: Instant,
}

impl Pipeline {
    pub(super) fn new(session: Session, buffers: Buffers, traffic: Traffic) -> Self {
        Self { session, in_flight: VecDeque::new(), buffers, traffic, last_done: Instant::now() }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The batches in flight, in the order in which they were sent.
    pub(super) fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.in_flight.iter().filter_map(|sent| match &sent.load {
            Load::Batch(batch) => Some(batch),
            _ => None,
        })
    }

    /// An empty packet, in a buffer used before.
    pub(super) fn packet(&self) -> Packet {
        Packet { sql: self.buffers.take(), replies: 0 }
    }

    pub(super) async fn send(&mut self, packet: Packet, load: Load) -> Result<()> {
        self.session.send(&packet).await?;
        if matches!(load, Load::Batch(_)) {
            self.traffic.begun();
        }
        self.in_flight.push_back(Sent {
            load,
            replies_left: packet.replies,
            at: Instant::now(),
            changed: None,
        });
        self.buffers.give(packet.sql);
        Ok(())
    }

    /// Reads one answer. Cancel-safe.
    pub(super) async fn answer(&mut self) -> Result<Outcome> {
        let reply = self.session.reply().await?;
        let Some(front) = self.in_flight.front_mut() else {
            bail!(Protocol, "the target answered a question that was not asked");
        };
        if let Reply::Failed(server) = reply {
            return Ok(Outcome::Failed(self.end_first(), server));
        }
        front.replies_left -= 1;
        if front.replies_left > 0 {
            if front.replies_left == 1 {
                front.changed = Some(Instant::now());
            }
            return Ok(Outcome::Pending);
        }
        let now = Instant::now();
        let began = front.at.max(self.last_done);
        let changed = front.changed.unwrap_or(began);
        let took = Took {
            apply: changed.saturating_duration_since(began),
            commit: now.saturating_duration_since(changed.max(began)),
        };
        self.last_done = now;
        Ok(Outcome::Done(self.end_first(), took))
    }

    fn end_first(&mut self) -> Load {
        let load = self.in_flight.pop_front().map_or(Load::Prelude, |sent| sent.load);
        if matches!(load, Load::Batch(_)) {
            self.traffic.ended();
        }
        load
    }

    /// After a failure: the guards of what is behind it fail too. Reads those answers and gives the batches back, in
    /// order.
    ///
    /// # Errors
    /// `BB2002` if one of them seems to have run.
    pub(super) async fn drain_failed(&mut self, server: &ServerError) -> Result<Vec<Batch>> {
        let mut batches = Vec::new();
        while !self.in_flight.is_empty() {
            match self.answer().await? {
                Outcome::Failed(Load::Batch(batch), _) => batches.push(batch),
                Outcome::Pending | Outcome::Done(Load::Prelude, _) | Outcome::Failed(..) => {}
                // An answer that was changed on its way: only the progress row says what is there.
                Outcome::Done(load, _) => bail!(
                    ConnectionLost,
                    "a packet ({}) ran although the one before it had failed with error {}, as the target's answers say",
                    load.name(),
                    server.number
                ),
            }
        }
        Ok(batches)
    }
}

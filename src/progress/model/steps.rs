//! What processes and the target do, one step at a time.

use super::super::{Done, Fence, Frontier, Ranges, Recovered, Row, Seq};
use super::{Connection, Fault, Lane, Packet, Process, Search, Step, Use, World};
use crate::position::Coordinates;

pub(super) fn at(seq: u64) -> Coordinates {
    Coordinates { file: "b".into(), offset: seq }
}

fn done(seq: Seq) -> Done {
    Done { seq, end: at(seq.0), gtid: None, committed_us: None }
}

impl Search {
    pub(super) fn is_applied(process: &Process, seq: u64) -> bool {
        seq <= process.applied.low().seq.0 || process.applied.done().contains(seq)
    }

    /// Whether a process may send a transaction on: DDL alone, nothing past it.
    pub(super) fn may_send(&self, process: &Process, seq: u64) -> bool {
        let in_flight = |seq| process.lanes.iter().any(|lane| lane.in_flight.contains(&Seq(seq)));
        let before = |seq: u64| (1..seq).all(|earlier| Self::is_applied(process, earlier));
        let fresh = !Self::is_applied(process, seq) && !in_flight(seq);
        let behind = self.ddl.is_none_or(|ddl| seq <= ddl || Self::is_applied(process, ddl));
        let own = self.ddl != Some(seq) || (before(seq) && process.ddl == Step::Ran);
        fresh && behind && own
    }

    pub(super) fn recover(rows: &[Row], (process, epoch): (usize, u64), workers: u32, world: &mut World) {
        let Ok(recovered) = Recovered::from_rows(rows) else { return };
        let lanes = (0..workers)
            .map(|worker| {
                let last = recovered.last.iter().find(|(of, _)| *of == worker).map(|(_, seq)| *seq);
                Lane { in_flight: Vec::new(), last_sent: last.unwrap_or_default() }
            })
            .collect();
        let fences = rows.iter().map(|row| (row.worker, row.fence)).collect();
        world.processes[process] = Some(Process {
            epoch,
            fences,
            applied: recovered.frontier,
            lanes,
            lost: false,
            ddl: Step::Before,
        });
        for of in (0..workers).map(Use::Worker).chain([Use::Ddl]) {
            world.connections.push(Connection {
                of: Some((process, of)),
                ddl: of == Use::Ddl,
                queue: Vec::new(),
                answers: Vec::new(),
            });
        }
    }

    /// All connections of a process are lost to it, not to the server.
    pub(super) fn lose(process: usize, world: &mut World) {
        for connection in &mut world.connections {
            if connection.of.is_some_and(|(of, _)| of == process) {
                connection.of = None;
                connection.answers.clear();
            }
        }
        world.connections.retain(|connection| connection.of.is_some() || !connection.queue.is_empty());
    }

    /// The named lock: whoever holds it loses its connection.
    pub(super) fn take_lock(&self, world: &mut World) {
        if self.fault != Fault::NoLock {
            let holders: Vec<usize> = world
                .connections
                .iter()
                .filter(|other| other.ddl)
                .filter_map(|other| Some(other.of?.0))
                .collect();
            world.connections.retain(|connection| !connection.ddl);
            for process in holders {
                Self::lose(process, world);
                world.processes[process].iter_mut().for_each(|process| process.lost = true);
            }
        }
    }

    pub(super) fn start(&self, process: usize, workers: u32, world: &mut World) {
        self.take_lock(world);
        let epoch = Fence::next_epoch(world.rows.iter().map(|row| row.fence)).unwrap_or_default();
        world.rows.iter_mut().for_each(|row| row.fence = Fence::taken(epoch));
        for worker in 0..workers {
            if world.rows.iter().all(|row| row.worker != worker) {
                let Ok(recovered) = Recovered::from_rows(&world.rows) else { return };
                let low = recovered.frontier.low().clone();
                let (fence, seq) = (Fence::taken(epoch), low.seq);
                world.rows.push(Row { worker, fence, seq, low, done: Ranges::default() });
            }
        }
        let rows = world.rows.clone();
        Self::recover(&rows, (process, epoch), workers, world);
        world.starts += 1;
    }

    pub(super) fn reconnect(&self, number: usize, world: &mut World) {
        let Some(process) = world.processes[number].clone() else { return };
        if self.fault != Fault::NoCompare && world.rows.iter().any(|row| row.fence.epoch != process.epoch) {
            world.processes[number] = None;
            return;
        }
        self.take_lock(world);
        if self.fault != Fault::NoSession {
            world.rows.iter_mut().for_each(|row| row.fence = row.fence.moved());
        }
        let rows = world.rows.clone();
        let workers = u32::try_from(process.lanes.len()).unwrap_or(1);
        Self::recover(&rows, (number, process.epoch), workers, world);
    }

    pub(super) fn send(&self, number: usize, worker: u32, seq: u64, world: &mut World) {
        let Some(process) = &mut world.processes[number] else { return };
        let fence = process.fences.iter().find(|(of, _)| *of == worker).map(|(_, fence)| *fence);
        let Some(lane) = usize::try_from(worker).ok().and_then(|worker| process.lanes.get_mut(worker)) else {
            return;
        };
        let (Some(fence), previous) = (fence, lane.last_sent) else { return };
        lane.in_flight.push(Seq(seq));
        lane.last_sent = Seq(seq);
        // As the worker does: what is in flight on this connection is committed if this packet is.
        let mut frontier = process.applied.clone();
        if self.fault == Fault::Forgetful {
            frontier = Frontier::new(frontier.low().clone(), Ranges::default());
        }
        for seq in &lane.in_flight {
            assert!(frontier.complete(done(*seq)).is_ok(), "a transaction is sent once");
        }
        let (low, done) = (frontier.low().clone(), frontier.done());
        let packet = Packet::Batch { of: process.epoch, worker, fence, previous, seq: Seq(seq), low, done };
        let own = |connection: &&mut Connection| connection.of == Some((number, Use::Worker(worker)));
        world.connections.iter_mut().find(own).into_iter().for_each(|own| own.queue.push(packet.clone()));
    }

    /// Records the intent, if still the owner, and sends the DDL statement; or finds that it ran.
    pub(super) fn intend(&self, number: usize, world: &mut World) {
        let ran = if self.gtids { world.executed } else { self.has_run(world) };
        let intended = world.intent;
        let Some(process) = &mut world.processes[number] else { return };
        if intended && ran {
            process.ddl = Step::Ran;
            return;
        }
        if world.rows.iter().any(|row| row.fence.epoch != process.epoch) {
            world.processes[number] = None;
            Self::lose(number, world);
            return;
        }
        process.ddl = Step::Sent;
        world.intent = true;
        let packet = Packet::Ddl(process.epoch);
        let own = |connection: &&mut Connection| connection.of == Some((number, Use::Ddl));
        world.connections.iter_mut().find(own).into_iter().for_each(|own| own.queue.push(packet.clone()));
    }

    pub(super) fn has_run(&self, world: &World) -> bool {
        self.ddl.and_then(|ddl| usize::try_from(ddl).ok()).is_some_and(|ddl| world.applied[ddl] > 0)
    }

    /// The server runs the next packet of a connection; if it fails, those behind it fail by their guards.
    pub(super) fn run(&self, number: usize, world: &mut World) {
        let Some(connection) = world.connections.get_mut(number) else { return };
        if connection.queue.is_empty() {
            return;
        }
        let answer = match connection.queue.remove(0) {
            Packet::Batch { of, worker, fence, previous, seq, low, done } => {
                let owner = world.rows.iter().map(|row| row.fence.epoch).max();
                let row = world.rows.iter_mut().find(|row| row.worker == worker);
                let row = row.filter(|row| row.admits(fence, previous));
                let runs = row.is_some();
                if let Some(row) = row {
                    (row.seq, row.low, row.done) = (seq, low, done);
                    world.stale |= owner != Some(of);
                    if self.ddl == Some(seq.0) {
                        world.intent = false;
                    } else if let Ok(index) = usize::try_from(seq.0) {
                        world.applied[index] += 1;
                    }
                }
                runs
            }
            Packet::Ddl(epoch) => {
                if !(self.gtids && world.executed) {
                    world.stale |= world.rows.iter().any(|row| row.fence.epoch != epoch);
                    world.executed = true;
                    if let Some(index) = self.ddl.and_then(|ddl| usize::try_from(ddl).ok()) {
                        world.applied[index] += 1;
                    }
                }
                true
            }
        };
        if let Some(connection) = world.connections.get_mut(number) {
            if connection.of.is_some() {
                connection.answers.push(answer);
            } else if connection.queue.is_empty() {
                world.connections.remove(number);
            }
        }
    }

    pub(super) fn hear(number: usize, world: &mut World) {
        let Some(connection) = world.connections.get_mut(number) else { return };
        let Some((of, how)) = connection.of else { return };
        if connection.answers.is_empty() {
            return;
        }
        let ran = connection.answers.remove(0);
        let Some(process) = &mut world.processes[of] else { return };
        match how {
            Use::Ddl => process.ddl = Step::Ran,
            Use::Worker(worker) => {
                let lane = usize::try_from(worker).ok().and_then(|worker| process.lanes.get_mut(worker));
                let Some(lane) = lane else { return };
                let seq = lane.in_flight.remove(0);
                if ran {
                    assert!(process.applied.complete(done(seq)).is_ok(), "a transaction commits once");
                } else {
                    // Nothing else makes a guard fail here: another is the owner.
                    world.processes[of] = None;
                    Self::lose(of, world);
                }
            }
        }
    }
}

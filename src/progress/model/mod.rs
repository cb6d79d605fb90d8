//! The protocol of the progress rows as a model, searched to its end: what two processes, their workers and the target
//! may do in any order, with connections that break off, packets that run late, answers that are lost, and processes
//! that die and start again. What decides is this room's own code: [`Row::admits`], [`Fence`], [`Recovered`],
//! [`Frontier`].
//!
//! Bounds: two or three transactions, two workers with two packets in flight each, two processes, one lost connection;
//! some 250,000 states in all.
//!
//! Left out: the time that things take, and row locks (a packet runs at once or not at all). A connection that is lost
//! to its process may stay at the server for ever, with all that it holds, and run it at any time.

mod steps;

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::{Fence, Frontier, Mark, Ranges, Recovered, Row, Seq};
use steps::at;

/// What is searched.
#[derive(Debug, Clone)]
struct Search {
    /// Transactions of the source.
    transactions: u64,
    /// The one that is a DDL statement.
    ddl: Option<u64>,
    /// Workers that a process may start with.
    workers: &'static [u32],
    /// Packets in flight on a connection.
    depth: usize,
    /// Processes started in all.
    starts: u8,
    /// Connections lost in all.
    cuts: u8,
    /// The target has GTIDs; without, its definitions say whether a DDL statement ran.
    gtids: bool,
    fault: Fault,
}

/// A step of the protocol that is left out, to see that it is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// After a lost connection the rows are read without moving the session.
    NoSession,
    /// After a lost connection the session is moved whoever the owner is.
    NoCompare,
    /// A row's `done` is what its worker applied, without what earlier processes had recorded there.
    Forgetful,
    /// Taking over leaves the connection that runs DDL alone.
    NoLock,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    rows: Vec<Row>,
    /// How often each transaction was applied.
    applied: Vec<u8>,
    /// The DDL statement's GTID is executed.
    executed: bool,
    /// The DDL statement is about to run.
    intent: bool,
    connections: Vec<Connection>,
    processes: [Option<Process>; 2],
    starts: u8,
    cuts: u8,
    /// Something was committed by a process that was not the owner.
    stale: bool,
}

/// A connection at the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Connection {
    /// The process and what it uses the connection for; none once it has lost it.
    of: Option<(usize, Use)>,
    ddl: bool,
    queue: Vec<Packet>,
    answers: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Use {
    Worker(u32),
    Ddl,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Packet {
    /// Guard, changes, record; and the epoch of the process that sent it, for the books.
    Batch { of: u64, worker: u32, fence: Fence, previous: Seq, seq: Seq, low: Mark, done: Ranges },
    /// A DDL statement, with the owner's epoch for the books.
    Ddl(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    epoch: u64,
    fences: Vec<(u32, Fence)>,
    applied: Frontier,
    lanes: Vec<Lane>,
    /// Its connections are gone: it must connect anew.
    lost: bool,
    ddl: Step,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Lane {
    in_flight: Vec<Seq>,
    last_sent: Seq,
}

/// How far a process is with the DDL statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Before,
    Sent,
    Ran,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Start(usize, u32),
    Die(usize),
    Send(usize, u32, u64),
    Intend(usize),
    Run(usize),
    Hear(usize),
    Cut(usize),
    Reconnect(usize),
}

impl Model for Search {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let low = Mark { seq: Seq(0), at: Some(at(0)), gtids: None };
        let row = Row { worker: 0, fence: Fence::taken(1), seq: Seq(0), low, done: Ranges::default() };
        let count = usize::try_from(self.transactions).unwrap_or_default();
        vec![World {
            rows: vec![row],
            applied: vec![0; count + 1],
            executed: false,
            intent: false,
            connections: Vec::new(),
            processes: [None, None],
            starts: 0,
            cuts: 0,
            stale: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (number, process) in world.processes.iter().enumerate() {
            let Some(process) = process else {
                // The second process is like the first: it starts second.
                if world.starts < self.starts && (number == 0 || world.starts > 0) {
                    actions.extend(self.workers.iter().map(|workers| Action::Start(number, *workers)));
                }
                continue;
            };
            if world.starts < self.starts {
                actions.push(Action::Die(number));
            }
            if process.lost {
                actions.push(Action::Reconnect(number));
                continue;
            }
            if world.cuts < self.cuts {
                actions.push(Action::Cut(number));
            }
            for (worker, lane) in (0..).zip(&process.lanes) {
                if lane.in_flight.len() < self.depth {
                    let may =
                        |seq: &u64| self.may_send(process, *seq) && (self.ddl != Some(*seq) || worker == 0);
                    actions.extend(
                        (1..=self.transactions).filter(may).map(|seq| Action::Send(number, worker, seq)),
                    );
                }
            }
            if let Some(ddl) = self.ddl
                && process.ddl == Step::Before
                && process.lanes.iter().all(|lane| lane.in_flight.is_empty())
                && !Self::is_applied(process, ddl)
                && (1..ddl).all(|earlier| Self::is_applied(process, earlier))
            {
                actions.push(Action::Intend(number));
            }
        }
        for (number, connection) in world.connections.iter().enumerate() {
            if !connection.queue.is_empty() {
                actions.push(Action::Run(number));
            }
            if !connection.answers.is_empty() {
                actions.push(Action::Hear(number));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Start(process, workers) => self.start(process, workers, &mut next),
            Action::Die(process) => {
                next.processes[process] = None;
                Self::lose(process, &mut next);
            }
            Action::Send(process, worker, seq) => self.send(process, worker, seq, &mut next),
            Action::Intend(process) => self.intend(process, &mut next),
            Action::Run(connection) => self.run(connection, &mut next),
            Action::Hear(connection) => Self::hear(connection, &mut next),
            Action::Cut(process) => {
                Self::lose(process, &mut next);
                next.processes[process].iter_mut().for_each(|process| process.lost = true);
                next.cuts += 1;
            }
            Action::Reconnect(process) => self.reconnect(process, &mut next),
        }
        Some(next)
    }

    /// Two processes that both take themselves for the owner cut each other off for ever.
    fn within_boundary(&self, world: &World) -> bool {
        world.rows.iter().all(|row| row.fence.session <= 3)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is applied twice", |_, world: &World| {
                world.applied.iter().all(|times| *times <= 1)
            }),
            Property::always("what is recorded is applied", |_, world: &World| {
                let Ok(Recovered { frontier, .. }) = Recovered::from_rows(&world.rows) else { return false };
                (1..).zip(&world.applied[1..]).all(|(seq, times)| {
                    let recorded = seq <= frontier.low().seq.0 || frontier.applied_earlier(Seq(seq));
                    !recorded || *times == 1
                })
            }),
            Property::always("only the owner commits", |_, world: &World| !world.stale),
            Property::sometimes("everything arrives", |search: &Self, world: &World| {
                world.rows.iter().any(|row| row.low.seq.0 == search.transactions)
            }),
            Property::sometimes("rows have gaps", |_, world: &World| {
                world.rows.iter().any(|row| !row.done.is_empty())
            }),
        ]
    }
}

const SMALL: Search = Search {
    transactions: 2,
    ddl: None,
    workers: &[1, 2],
    depth: 2,
    starts: 2,
    cuts: 1,
    gtids: true,
    fault: Fault::None,
};

/// Searches to the end; the number of states.
fn sound(search: Search) -> usize {
    let checker = search.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

/// Searches until the fault shows as one of these.
fn finds(search: Search, properties: &[&'static str]) {
    let checker = search.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found = properties.iter().any(|property| checker.discovery(property).is_some());
    assert!(found, "the model does not see the fault");
}

#[test]
fn workers_that_are_cut_off_die_and_start_again_apply_everything_once() {
    let states = sound(SMALL);
    assert!(states > 10_000, "{states}");
}

#[test]
fn gaps_that_workers_leave_are_filled_by_whoever_comes_next() {
    let states = sound(Search { transactions: 3, workers: &[2], depth: 1, cuts: 0, ..SMALL });
    assert!(states > 10_000, "{states}");
}

#[test]
fn ddl_runs_once_with_gtids_and_without() {
    for gtids in [true, false] {
        let search = Search { ddl: Some(2), workers: &[1], depth: 1, gtids, ..SMALL };
        let checker = search.checker().threads(2).spawn_bfs().join();
        for property in ["nothing is applied twice", "what is recorded is applied", "only the owner commits"]
        {
            assert!(checker.discovery(property).is_none(), "{property}: {:?}", checker.discovery(property));
        }
        assert!(checker.discovery("everything arrives").is_some());
    }
}

#[test]
fn reading_the_row_without_moving_its_session_applies_a_transaction_twice() {
    let search = Search { fault: Fault::NoSession, workers: &[2], depth: 1, starts: 1, ..SMALL };
    finds(search, &["nothing is applied twice"]);
}

#[test]
fn moving_the_session_without_comparing_the_owner_lets_a_fenced_process_write() {
    let search = Search { fault: Fault::NoCompare, transactions: 1, workers: &[1], depth: 1, ..SMALL };
    finds(search, &["nothing is applied twice", "only the owner commits"]);
}

#[test]
fn forgetting_what_was_recorded_before_applies_a_transaction_twice() {
    let search = Search { fault: Fault::Forgetful, workers: &[2], depth: 1, ..SMALL };
    finds(search, &["nothing is applied twice"]);
}

#[test]
fn ddl_without_the_lock_runs_twice_where_no_gtid_tells() {
    let search =
        Search { fault: Fault::NoLock, transactions: 1, ddl: Some(1), workers: &[1], gtids: false, ..SMALL };
    finds(search, &["nothing is applied twice"]);
}

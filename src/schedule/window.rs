//! A window of transactions, shared out among workers: what conflicts stays together and in order, and waits for what
//! other workers still have of earlier windows.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::footprint::{Footprint, Mode, Need};
use super::hash::ByHash;

/// A set of workers, one bit each.
type Workers = u64;

/// Workers at most.
pub const MOST_WORKERS: usize = 64;

/// From so many transactions on, a window goes to one worker if one component is a large part of it: the rest would be
/// commits that cost more than they save, and that the next window waits for.
pub const UNDIVIDED_FROM: usize = 256;
/// How large a part, in percent of the bytes.
const UNDIVIDED_SHARE: usize = 50;

/// What one worker gets of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The worker.
    pub worker: usize,
    /// The transactions, by their places in the window, in order.
    pub members: Vec<usize>,
    /// Windows and workers whose shares must be committed first; this worker's own are by the order of its connection.
    pub after: Vec<(u64, usize)>,
}

/// Windows of which something is not committed yet.
#[derive(Debug, Default)]
pub struct Windows {
    open: VecDeque<Open>,
    last: u64,
}

/// What the workers have of a window.
#[derive(Debug, Default)]
struct Open {
    number: u64,
    /// Workers that have something of it left.
    workers: Workers,
    everything: Workers,
    values: ByHash<u64, Holders>,
    keys: ByHash<u64, KeyHolders>,
    /// For each worker, the earliest of its transactions by the source's clock, and the earliest with a statement.
    clocks: Vec<(Earliest, Earliest)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Holders {
    shared: Workers,
    exclusive: Workers,
}

/// Who claims values of a key, and who claims all of it.
#[derive(Debug, Clone, Copy, Default)]
struct KeyHolders {
    values: Holders,
    whole: Holders,
}

/// The earliest of some transactions.
#[derive(Debug, Clone, Default)]
enum Earliest {
    #[default]
    None,
    /// Its number in a binlog file.
    In(Arc<str>, i64),
    /// They are of several files, or have no number.
    Unknown,
}

impl Earliest {
    fn add(&mut self, footprint: &Footprint) {
        let number = footprint.clock.sequence_number;
        *self = match std::mem::take(self) {
            Self::None if number > 0 => Self::In(Arc::clone(&footprint.file), number),
            Self::In(file, earliest) if file == footprint.file && number > 0 => {
                Self::In(file, earliest.min(number))
            }
            _ => Self::Unknown,
        };
    }

    /// Whether any of them may meet a later transaction.
    fn meets(&self, later: &Footprint) -> bool {
        match self {
            Self::None => false,
            Self::In(file, number) => !prepared_together((file, *number), later),
            Self::Unknown => true,
        }
    }
}

/// The source ran both at once before either was committed: they touch nothing in common.
fn prepared_together((file, number): (&Arc<str>, i64), later: &Footprint) -> bool {
    // A source without a clock says 0.
    later.clock.sequence_number > 0 && *file == later.file && number > later.clock.last_committed
}

impl Open {
    /// The workers that have something which a later transaction must not pass.
    fn holders(&self, later: &Footprint) -> Workers {
        if later.everything {
            return self.workers;
        }
        let mut found = self.everything;
        for (worker, (any, statement)) in self.clocks.iter().enumerate() {
            if if later.statement { any.meets(later) } else { statement.meets(later) } {
                found |= bit(worker);
            }
        }
        for need in &later.needs {
            if found == self.workers {
                break;
            }
            found |= self.of_need(need);
        }
        found & self.workers
    }

    fn of_need(&self, need: &Need) -> Workers {
        let key = self.keys.get(&u64::from(need.key)).copied().unwrap_or_default();
        match (need.value, need.mode) {
            (None, Mode::Exclusive) => {
                key.whole.shared | key.whole.exclusive | key.values.shared | key.values.exclusive
            }
            (None, Mode::Shared) => key.whole.exclusive | key.values.exclusive,
            (Some(value), mode) => {
                let value = self.values.get(&value).copied().unwrap_or_default();
                match mode {
                    Mode::Exclusive => {
                        key.whole.shared | key.whole.exclusive | value.shared | value.exclusive
                    }
                    Mode::Shared => key.whole.exclusive | value.exclusive,
                }
            }
        }
    }

    fn note(&mut self, worker: usize, footprint: &Footprint) {
        let workers = bit(worker);
        self.workers |= workers;
        if footprint.everything {
            self.everything |= workers;
        }
        if self.clocks.len() <= worker {
            self.clocks.resize_with(worker + 1, Default::default);
        }
        if let Some((any, statement)) = self.clocks.get_mut(worker) {
            any.add(footprint);
            if footprint.statement {
                statement.add(footprint);
            }
        }
        for need in &footprint.needs {
            let key = self.keys.entry(u64::from(need.key)).or_default();
            let add = |holders: &mut Holders| match need.mode {
                Mode::Shared => holders.shared |= workers,
                Mode::Exclusive => holders.exclusive |= workers,
            };
            match need.value {
                None => add(&mut key.whole),
                Some(value) => {
                    add(&mut key.values);
                    add(self.values.entry(value).or_default());
                }
            }
        }
    }
}

impl Windows {
    /// Shares a window out. `loads` says how much each worker has already, in the measure of the footprints' weights.
    /// Returns the window's number and who gets what of it, in no order.
    pub fn split(&mut self, footprints: &[Footprint], loads: &[usize]) -> (u64, Vec<Share>) {
        self.last += 1;
        let mut components = Components::new(footprints);
        let mut open = Open { number: self.last, ..Open::default() };
        let mut loads = loads.to_vec();
        let mut shares: Vec<Share> = Vec::new();
        for (members, weight) in undivided(components.by_weight(footprints)) {
            let (worker, after) = self.place(&members, footprints, &loads);
            if let Some(load) = loads.get_mut(worker) {
                *load += weight;
            }
            members.iter().filter_map(|member| footprints.get(*member)).for_each(|footprint| {
                open.note(worker, footprint);
            });
            if let Some(share) = shares.iter_mut().find(|share| share.worker == worker) {
                share.members.extend(members);
                share.after.extend(after);
            } else {
                shares.push(Share { worker, members, after });
            }
        }
        for share in &mut shares {
            share.members.sort_unstable();
            share.after.sort_unstable();
            share.after.dedup();
        }
        self.open.push_back(open);
        (self.last, shares)
    }

    /// A worker has committed all it had of a window.
    pub fn committed(&mut self, number: u64, worker: usize) {
        if let Some(open) = self.open.iter_mut().find(|open| open.number == number) {
            open.workers &= !bit(worker);
        }
        self.open.retain(|open| open.workers != 0);
    }

    /// The worker for a component: one that it must follow, so that it need not wait, else the one with least to do.
    fn place(
        &self,
        members: &[usize],
        footprints: &[Footprint],
        loads: &[usize],
    ) -> (usize, Vec<(u64, usize)>) {
        let mut follows: Vec<(u64, Workers)> = Vec::new();
        for open in &self.open {
            let mut holders = 0;
            for footprint in members.iter().filter_map(|member| footprints.get(*member)) {
                holders |= open.holders(footprint);
                if holders == open.workers {
                    break;
                }
            }
            if holders != 0 {
                follows.push((open.number, holders));
            }
        }
        let least = |among: Workers| {
            let chosen = loads.iter().enumerate().filter(|(worker, _)| among & bit(*worker) != 0);
            chosen.min_by_key(|(_, load)| **load).map(|(worker, _)| worker)
        };
        // What it follows last ends last.
        let latest = follows.last().map(|(_, holders)| *holders);
        let worker = latest.and_then(least).or_else(|| least(Workers::MAX)).unwrap_or_default();
        let after = follows
            .iter()
            .flat_map(|(number, holders)| each(holders & !bit(worker)).map(|other| (*number, other)))
            .collect();
        (worker, after)
    }
}

/// One component of all, if the first is too large a part of it.
fn undivided(components: Vec<(Vec<usize>, usize)>) -> Vec<(Vec<usize>, usize)> {
    let count: usize = components.iter().map(|(members, _)| members.len()).sum();
    let weight: usize = components.iter().map(|(_, weight)| weight).sum();
    let first = components.first().map_or(0, |(_, first)| *first);
    if count < UNDIVIDED_FROM || first.saturating_mul(100) < weight.saturating_mul(UNDIVIDED_SHARE) {
        return components;
    }
    vec![((0..count).collect(), weight)]
}

fn bit(worker: usize) -> Workers {
    1 << (worker % MOST_WORKERS)
}

fn each(workers: Workers) -> impl Iterator<Item = usize> {
    (0..MOST_WORKERS).filter(move |worker| workers & bit(*worker) != 0)
}

/// What conflicts, directly or through others, is one component.
struct Components {
    leader: Vec<u32>,
}

/// Who in the window has claimed something so far.
#[derive(Default)]
struct Claimed {
    /// Some transaction whose component all exclusive claims so far belong to.
    exclusive: Option<u32>,
    /// The transactions with shared claims that are not in that component.
    shared: Vec<u32>,
}

#[derive(Default)]
struct KeyClaimed {
    /// Some transaction that claimed the whole key exclusively: all who claim anything of it are of its component.
    taken: Option<u32>,
    shared_values: Vec<u32>,
    exclusive_values: Vec<u32>,
    shared_wholes: Vec<u32>,
}

/// Some transactions in order, the first of which are one component already.
#[derive(Default)]
struct Prefix {
    members: Vec<u32>,
    joined: usize,
}

impl Prefix {
    /// Joins a transaction with all up to the last that it meets.
    fn join_met(&mut self, components: &mut Components, place: u32, meets: impl Fn(u32) -> bool) {
        let met = self.members.iter().rposition(|member| meets(*member)).map_or(0, |last| last + 1);
        let Some(first) = self.members.first().filter(|_| met > 0) else { return };
        for member in self.members.get(self.joined..met).unwrap_or_default() {
            components.join(*member, *first);
        }
        self.joined = self.joined.max(met);
        components.join(place, *first);
    }
}

impl Components {
    fn new(footprints: &[Footprint]) -> Self {
        let count = u32::try_from(footprints.len()).unwrap_or(u32::MAX);
        let mut components = Self { leader: (0..count).collect() };
        components.join_by_clock(footprints);
        let mut values: ByHash<u64, Claimed> = ByHash::default();
        let mut keys: ByHash<u64, KeyClaimed> = ByHash::default();
        for (place, footprint) in (0..count).zip(footprints) {
            for need in &footprint.needs {
                let key = keys.entry(u64::from(need.key)).or_default();
                components.claim_key(place, need, key);
                if let Some(value) = need.value {
                    components.claim_value(place, need.mode, values.entry(value).or_default());
                }
            }
        }
        components
    }

    /// Transactions that meet everything, and statements, of which only the source's clock tells. The clock only rises:
    /// what a transaction meets comes before what it does not.
    fn join_by_clock(&mut self, footprints: &[Footprint]) {
        let mut all = Prefix::default();
        let mut statements = Prefix::default();
        let mut everything: Option<u32> = None;
        for (place, later) in (0_u32..).zip(footprints) {
            let meets = |earlier: u32| {
                let earlier = usize::try_from(earlier).ok().and_then(|at| footprints.get(at));
                earlier.is_none_or(|earlier| {
                    later.everything
                        || earlier.clock.sequence_number <= 0
                        || !prepared_together((&earlier.file, earlier.clock.sequence_number), later)
                })
            };
            if let Some(everything) = everything {
                self.join(place, everything);
            }
            if later.everything || later.statement {
                all.join_met(self, place, meets);
            } else {
                statements.join_met(self, place, meets);
            }
            all.members.push(place);
            if later.statement {
                statements.members.push(place);
            }
            if later.everything {
                everything = Some(place);
            }
        }
    }

    fn claim_key(&mut self, place: u32, need: &Need, key: &mut KeyClaimed) {
        if let Some(taken) = key.taken {
            self.join(place, taken);
            return;
        }
        let push = |list: &mut Vec<u32>| {
            if list.last() != Some(&place) {
                list.push(place);
            }
        };
        match (need.value, need.mode) {
            (None, Mode::Exclusive) => {
                let KeyClaimed { shared_values, exclusive_values, shared_wholes, .. } = std::mem::take(key);
                for other in shared_values.into_iter().chain(exclusive_values).chain(shared_wholes) {
                    self.join(place, other);
                }
                key.taken = Some(place);
            }
            (None, Mode::Shared) => {
                for other in std::mem::take(&mut key.exclusive_values) {
                    self.join(place, other);
                    // One of them stands for all, for shared claims on the whole key that are to come.
                    key.exclusive_values = vec![place];
                }
                push(&mut key.shared_wholes);
            }
            (Some(_), Mode::Shared) => push(&mut key.shared_values),
            (Some(_), Mode::Exclusive) => {
                for other in std::mem::take(&mut key.shared_wholes) {
                    self.join(place, other);
                    key.shared_wholes = vec![place];
                }
                push(&mut key.exclusive_values);
            }
        }
    }

    fn claim_value(&mut self, place: u32, mode: Mode, value: &mut Claimed) {
        if let Some(exclusive) = value.exclusive {
            self.join(place, exclusive);
            return;
        }
        match mode {
            Mode::Shared => {
                if value.shared.last() != Some(&place) {
                    value.shared.push(place);
                }
            }
            Mode::Exclusive => {
                for other in std::mem::take(&mut value.shared) {
                    self.join(place, other);
                }
                value.exclusive = Some(place);
            }
        }
    }

    fn lead(&mut self, mut place: u32) -> u32 {
        loop {
            let Some(&leader) = usize::try_from(place).ok().and_then(|at| self.leader.get(at)) else {
                return place;
            };
            if leader == place {
                return place;
            }
            // Halves the way for whoever comes next.
            let above = usize::try_from(leader).ok().and_then(|at| self.leader.get(at)).copied();
            if let (Some(slot), Some(above)) =
                (usize::try_from(place).ok().and_then(|at| self.leader.get_mut(at)), above)
            {
                *slot = above;
            }
            place = leader;
        }
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.lead(one), self.lead(other));
        let (first, second) = (one.min(other), one.max(other));
        if let Some(slot) = usize::try_from(second).ok().and_then(|at| self.leader.get_mut(at)) {
            *slot = first;
        }
    }

    /// The components, heaviest first, each with its members in order and its weight.
    fn by_weight(&mut self, footprints: &[Footprint]) -> Vec<(Vec<usize>, usize)> {
        let mut numbers: HashMap<u32, usize> = HashMap::new();
        let mut components: Vec<(Vec<usize>, usize)> = Vec::new();
        for (place, footprint) in footprints.iter().enumerate() {
            let leader = self.lead(u32::try_from(place).unwrap_or(u32::MAX));
            let number = *numbers.entry(leader).or_insert_with(|| {
                components.push((Vec::new(), 0));
                components.len() - 1
            });
            if let Some((members, weight)) = components.get_mut(number) {
                members.push(place);
                *weight += footprint.weight;
            }
        }
        components.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        components
    }
}

//! The orders in force, and the one place that changes them.

use tokio::sync::watch;

use crate::bail;
use crate::clock::now_us;
use crate::error::Result;

use super::{Limits, Named, Target, Until};

/// Skips that wait for their transactions, at most.
const MOST_SKIPS: usize = 64;

/// Everything an operator has ordered and that is still in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// Nothing new is applied.
    pub paused: Option<Paused>,
    /// Pause once this place is reached.
    pub until: Option<Until>,
    /// End instead of pausing at that place.
    pub exit: bool,
    /// Transactions to pass over; each once.
    pub skips: Vec<Skip>,
    /// How fast to apply.
    pub limits: Limits,
}

/// Since when and why nothing new is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// Who did it.
    pub by: Cause,
    /// Why, in words.
    pub reason: String,
    /// Since when, in microseconds since 1970.
    pub since_us: u64,
}

/// Who paused a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Told while it ran.
    Operator,
    /// The place to stop at was reached.
    Until,
    /// Told at the start.
    Start,
}

impl Cause {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Operator, Self::Until, Self::Start];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Until => "until",
            Self::Start => "start",
        }
    }
}

/// A transaction to pass over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// As it was named.
    pub target: Target,
    /// Its number, once it has come: until it is durable, it may come again after a lost connection.
    pub taken: Option<u64>,
}

impl Skip {
    fn is(&self, transaction: Named<'_>) -> bool {
        self.taken.map_or_else(|| self.target.is(transaction), |seq| seq == transaction.seq)
    }
}

/// The orders in force, shared by who gives them and who follows them.
#[derive(Debug, Default)]
pub struct Control(watch::Sender<Orders>);

impl Control {
    /// With the orders that a bridge starts with.
    pub fn new(orders: Orders) -> Self {
        Self(watch::Sender::new(orders))
    }

    /// The orders in force now.
    pub fn orders(&self) -> Orders {
        self.0.borrow().clone()
    }

    /// Hears of every change.
    pub fn watch(&self) -> watch::Receiver<Orders> {
        self.0.subscribe()
    }

    /// Applies nothing new from now on. A bridge that is paused already has a new reason.
    pub fn pause(&self, by: Cause, reason: &str) {
        self.0.send_modify(|orders| {
            orders.paused = Some(Paused { by, reason: reason.to_owned(), since_us: now_us() });
        });
    }

    /// Goes on. Returns whether it was paused.
    pub fn resume(&self) -> bool {
        self.0.send_if_modified(|orders| orders.paused.take().is_some())
    }

    /// Pauses at this place; at none, if none is given.
    pub fn until(&self, until: Option<Until>) {
        self.0.send_modify(|orders| orders.until = until);
    }

    /// The place is reached: pauses, unless the order has changed since.
    pub fn reached(&self, until: &Until) {
        self.0.send_if_modified(|orders| {
            let still = orders.until.as_ref() == Some(until);
            if still {
                orders.until = None;
                let reason = format!("reached until {until}");
                orders.paused = Some(Paused { by: Cause::Until, reason, since_us: now_us() });
            }
            still
        });
    }

    /// Sets the limits.
    pub fn limit(&self, limits: Limits) {
        self.0.send_modify(|orders| orders.limits = limits);
    }

    /// Passes over a transaction when it comes.
    ///
    /// # Errors
    /// `BB1001` for the current one while the bridge is not paused, and if too many are named.
    pub fn skip(&self, target: Target) -> Result<()> {
        let mut refused = Ok(());
        self.0.send_if_modified(|orders| {
            refused = orders.admit(&target);
            let new = refused.is_ok() && !orders.skips.iter().any(|skip| skip.target == target);
            if new {
                orders.skips.push(Skip { target, taken: None });
            }
            new
        });
        refused
    }

    /// Whether this transaction is to be passed over. From then on the order holds for it alone.
    pub fn takes(&self, transaction: Named<'_>) -> bool {
        let mut found = false;
        self.0.send_if_modified(|orders| {
            let Some(skip) = orders.skips.iter_mut().find(|skip| skip.is(transaction)) else { return false };
            found = true;
            skip.taken.replace(transaction.seq).is_none()
        });
        found
    }

    /// These transactions are durable: forgets those that were passed over, and counts them.
    pub fn settle(&self, durable: impl Fn(u64) -> bool) -> usize {
        let mut settled = 0;
        self.0.send_if_modified(|orders| {
            let before = orders.skips.len();
            orders.skips.retain(|skip| !skip.taken.is_some_and(&durable));
            settled = before - orders.skips.len();
            settled > 0
        });
        settled
    }
}

impl Orders {
    fn admit(&self, target: &Target) -> Result<()> {
        if *target == Target::Current && self.paused.is_none() {
            bail!(
                Usage,
                "what is current changes while the bridge runs: pause it first, or name the transaction by its GTID or \
                 position"
            );
        }
        if self.skips.len() >= MOST_SKIPS {
            bail!(Usage, "{MOST_SKIPS} transactions to skip have not come yet");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::position::Coordinates;

    fn at(seq: u64) -> Coordinates {
        Coordinates::new("b.000001", seq * 100)
    }

    fn takes(control: &Control, seq: u64, empty: bool) -> bool {
        control.takes(Named { seq, gtid: None, start: &at(seq), empty })
    }

    #[test]
    fn a_skip_holds_for_one_transaction_until_that_is_durable() {
        let control = Control::default();
        control.skip(Target::At(at(5))).unwrap();
        assert!(!takes(&control, 4, false) && takes(&control, 5, false));
        // It comes again after a lost connection.
        assert!(takes(&control, 5, true));
        assert_eq!(control.settle(|seq| seq <= 4), 0);
        assert_eq!(control.settle(|seq| seq <= 5), 1);
        assert!(!takes(&control, 5, false));
        assert_eq!(control.settle(|_| true), 0);
    }

    #[test]
    fn the_current_transaction_is_skipped_only_while_it_stands_still_and_only_if_it_changes_anything() {
        let control = Control::default();
        assert_eq!(control.skip(Target::Current).unwrap_err().code(), Code::Usage);
        control.pause(Cause::Operator, "look");
        control.skip(Target::Current).unwrap();
        assert!(control.resume() && !control.resume());
        assert!(!takes(&control, 1, true) && takes(&control, 2, false));
        assert!(!takes(&control, 3, false) && takes(&control, 2, false));
    }

    #[test]
    fn skips_are_bounded_and_the_same_one_counts_once() {
        let control = Control::default();
        for seq in 1..=64 {
            control.skip(Target::At(at(seq))).unwrap();
        }
        assert_eq!(control.skip(Target::At(at(65))).unwrap_err().code(), Code::Usage);
        let control = Control::default();
        for _ in 0..3 {
            control.skip(Target::At(at(1))).unwrap();
        }
        assert_eq!(control.orders().skips.len(), 1);
    }

    #[test]
    fn reaching_a_place_pauses_unless_the_order_was_changed_meanwhile() {
        let control = Control::default();
        let (first, second) = (Until::At(at(5)), Until::At(at(9)));
        control.until(Some(second.clone()));
        control.reached(&first);
        assert_eq!(control.orders().paused, None);
        control.reached(&second);
        let orders = control.orders();
        let paused = orders.paused.unwrap();
        assert_eq!((paused.by, paused.reason.as_str()), (Cause::Until, "reached until b.000001:900"));
        assert_eq!(orders.until, None);
    }
}

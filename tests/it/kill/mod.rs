//! The kill test: under a generated workload the bridge is killed, cut off, fooled with late packets and replaced; what
//! is on the target at the end is what is on the source, and no change met a row that it should not have met.
//!
//! Short with fixed seeds, and long by `SOAK_SEEDS=n cargo test --features failpoints --test it soak -- --nocapture`.

mod incident;
mod life;
mod trouble;

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use incident::{Incident, deck};
use life::{Life, Plan};

/// More than a run takes beyond its least time: whatever waits for ever is found, and not waited for.
const PATIENCE: Duration = Duration::from_secs(480);

/// Every incident once, and more until there were so many kills in so much time.
fn run(seed: u64, least: Duration, kills: u32) {
    let (sender, ended) = channel();
    let thread = std::thread::Builder::new().name(format!("seed {seed}")).spawn(move || {
        // Dropped when this thread ends, by a panic too.
        let _sender: Sender<()> = sender;
        live(seed, least, kills);
    });
    let thread = thread.expect("a thread");
    assert_ne!(
        ended.recv_timeout(least + PATIENCE),
        Err(RecvTimeoutError::Timeout),
        "seed {seed} hangs in the incident named last"
    );
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn live(seed: u64, least: Duration, kills: u32) {
    let mut life = Life::begin(&Plan::of(seed));
    let mut incidents = deck(&mut life.rng);
    while !incidents.is_empty() || life.age() < least || life.kills() < kills {
        let incident = incidents.pop().unwrap_or_else(|| Incident::any(&mut life.rng));
        life.suffer(incident);
    }
    life.end();
}

/// The short form: every incident once. Odd seeds have a ROW source, even ones a MIXED one; among ten there are one, two and
/// eight workers, changing at each start, GTIDs on both ends, on one and on none, and preserved ones.
mod killed_at_any_moment_a_bridge_loses_and_doubles_nothing {
    use super::{Duration, run};

    macro_rules! seeds {
        ($($name:ident = $seed:literal),+) => {
            $( #[test] fn $name() { run($seed, Duration::ZERO, 0); } )+
        };
    }

    seeds!(
        seed_1 = 1,
        seed_2 = 2,
        seed_3 = 3,
        seed_5 = 5,
        seed_6 = 6,
        seed_7 = 7,
        seed_8 = 8,
        seed_12 = 12,
        seed_16 = 16,
        seed_17 = 17
    );
}

/// The long form. `SOAK_SEEDS` says how many seeds, `SOAK_SEED` names one, `SOAK_SECONDS` how long each lasts.
#[test]
fn soak() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seeds: Vec<u64> = match (number("SOAK_SEED"), number("SOAK_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => (1..=count).collect(),
        (None, None) => {
            println!("the long form runs with SOAK_SEEDS=n (make soak SEEDS=n)");
            return;
        }
    };
    let seconds = Duration::from_secs(number("SOAK_SECONDS").unwrap_or(60));
    for seed in seeds {
        run(seed, seconds, 30);
    }
}

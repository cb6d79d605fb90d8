//! Named points at which a test makes the process die, as `kill -9` would: no destructor runs, nothing is flushed.
//!
//! Only in builds with the feature `failpoints`; otherwise [`hit`] is empty. `BINBRIDGE_FAILPOINT=name:n` dies at the
//! n-th passage of `name`.

/// Every name that a bridge passes while it applies, so that tests can walk them all.
pub const NAMES: &[&str] = &[
    "apply.before_send",
    "apply.after_send",
    "apply.after_reply",
    "apply.part_sent",
    "session.after_bump",
    "epoch.after_take",
    "ddl.after_drain",
    "ddl.after_intent",
    "ddl.after_run",
    "ddl.after_end",
    "source.after_event",
];

/// Every name that is passed while the native channel and the bridge change places, in this order.
pub const TRANSITIONS: &[&str] = &[
    "takeover.after_begin",
    "takeover.after_stop",
    "takeover.before_active",
    "takeover.after_active",
    "handback.after_drain",
    "handback.after_begin",
    "handback.after_fill",
    "handback.after_point",
    "handback.after_mark",
    "handback.after_start",
];

/// Dies here if the environment asks for it.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let text = std::env::var("BINBRIDGE_FAILPOINT").ok()?;
        let (name, count) = text.split_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let Some((wanted, count)) = WANTED.as_ref() else { return };
    if wanted == name && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == *count {
        std::process::abort();
    }
}

/// Does nothing in a build without the feature.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}

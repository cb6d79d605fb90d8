//! Child processes that do not outlive this one, however it ends.
//!
//! Drop does not run when a process is killed, so the kernel must do it: `setpriv --pdeathsig KILL` (util-linux, on
//! every Debian and Ubuntu) asks for SIGKILL when the parent goes. Where there is no such `setpriv`, a shell holds
//! the reading end of a pipe whose writing end only this process has, and kills the child at its end of file. Either
//! way children are in process groups of their own: Ctrl-C reaches this process alone, and they die of its death.

use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::{io, thread};

/// A running child; killed when dropped.
pub(super) struct Guarded {
    child: Child,
    watchdog: Option<Child>,
}

impl Guarded {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the child has ended by itself.
    pub(super) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // After the child: its process id may be someone else's from here on.
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts `command` under guard.
pub(super) fn spawn(command: Command) -> io::Result<Guarded> {
    let (answer, answered) = mpsc::sync_channel(1);
    SPAWNER.send((command, answer)).map_err(|_| io::Error::other("the spawning thread is gone"))?;
    answered.recv().map_err(|_| io::Error::other("the spawning thread is gone"))?
}

type Order = (Command, mpsc::SyncSender<io::Result<Guarded>>);

/// The parent whose death the kernel watches is a *thread*: one that lives as long as the process starts them all,
/// or a server would die with the test thread that happened to start it.
static SPAWNER: LazyLock<mpsc::SyncSender<Order>> = LazyLock::new(|| {
    let (orders, incoming) = mpsc::sync_channel::<Order>(16);
    thread::Builder::new()
        .name("spawner".into())
        .spawn(move || {
            for (command, answer) in incoming {
                let _ = answer.send(spawn_here(&command));
            }
        })
        .expect("a thread that spawns servers");
    orders
});

fn spawn_here(command: &Command) -> io::Result<Guarded> {
    use std::os::unix::process::CommandExt as _;
    if has_setpriv() {
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        let child = with_surroundings(&mut guarded, command).process_group(0).spawn()?;
        return Ok(Guarded { child, watchdog: None });
    }
    let mut plain = Command::new(command.get_program());
    plain.args(command.get_args());
    let child = with_surroundings(&mut plain, command).process_group(0).spawn()?;
    let watchdog = Command::new("sh")
        .args(["-c", "cat >/dev/null; kill -9 \"$1\"", "watchdog", &child.id().to_string()])
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()?;
    Ok(Guarded { child, watchdog: Some(watchdog) })
}

/// Servers write to their error log, so the standard streams lead nowhere.
fn with_surroundings<'a>(to: &'a mut Command, from: &Command) -> &'a mut Command {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    if let Some(folder) = from.get_current_dir() {
        to.current_dir(folder);
    }
    to.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn has_setpriv() -> bool {
    static ANSWER: LazyLock<bool> = LazyLock::new(|| {
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    *ANSWER && std::env::var_os("BINBRIDGE_WATCHDOG").is_none()
}

//! What the demo says, and the commands it runs as an operator would type them.

use std::cell::Cell;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The voice of the demo: numbered steps, commands, notes. Coloured on a terminal unless `NO_COLOR` is set.
pub struct Stage {
    color: bool,
    terminal: bool,
    step: Cell<u32>,
    folder: tempfile::TempDir,
}

impl Stage {
    /// A folder of its own is where the commands run: what they name is short.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        // no-color.org: any value but the empty one.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { color: terminal && !plain, terminal, step: Cell::new(0), folder }
    }

    /// Whether somebody is watching.
    pub fn terminal(&self) -> bool {
        self.terminal
    }

    /// Where the commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Ends what [`passing`](Self::passing) wrote, too.
    fn line(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        println!("{clear}{text}");
        // Step by step also where standard output is a pipe.
        let _ = std::io::stdout().flush();
    }

    /// The first words.
    pub fn title(&self, text: &str) {
        self.line(&self.paint("1", text));
    }

    /// The next step.
    pub fn step(&self, text: &str) {
        self.step.set(self.step.get() + 1);
        self.line(&format!(
            "\n{} {}",
            self.paint("1;36", &format!("{:>2}.", self.step.get())),
            self.paint("1", text)
        ));
    }

    /// Something learnt.
    pub fn note(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("    {line}"));
        }
    }

    /// A line that the next one replaces, on a terminal; else nothing.
    pub fn passing(&self, text: &str) {
        if self.terminal {
            print!("\r\x1b[K    {text}");
            let _ = std::io::stdout().flush();
        }
    }

    /// The last words.
    pub fn verdict(&self, good: bool, text: &str) {
        self.line(&format!("\n{}", self.paint(if good { "1;32" } else { "1;31" }, text)));
    }

    /// A command line, before it runs.
    pub fn prompt(&self, server: &str, text: &str) {
        let prompt = if server == "$" { "$".to_owned() } else { format!("{server}>") };
        self.line(&format!("    {} {text}", self.paint("2", &prompt)));
    }

    /// A file beside the commands.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder().join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Runs `program ARGS < from > to` in the folder, shown under `name`; gives standard output if `to` is not set.
    pub fn run(
        &self,
        name: &str,
        mut program: Command,
        args: &[&str],
        from: Option<&str>,
        to: Option<&str>,
    ) -> String {
        let mut shown =
            format!("{name} {}", args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" "));
        program
            .args(args)
            .current_dir(self.folder())
            .env_remove("BINBRIDGE_CONFIG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(from) = from {
            shown = format!("{shown} < {from}");
            program.stdin(
                File::open(self.folder().join(from)).unwrap_or_else(|error| panic!("{from}: {error}")),
            );
        }
        if let Some(to) = to {
            shown = format!("{shown} > {to}");
            program
                .stdout(File::create(self.folder().join(to)).unwrap_or_else(|error| panic!("{to}: {error}")));
        }
        self.prompt("$", &shown);
        let output = program.output().unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} ended with {}: {}", output.status, errors.trim());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn quoted(arg: &str) -> String {
    if arg.contains(' ') { format!("'{arg}'") } else { arg.to_owned() }
}

/// `1.4 s`, `12 ms`.
pub fn time(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 0.1 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

/// `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Pads to a width in columns of a terminal: these names' characters beyond ASCII take two.
pub fn padded(text: &str, width: usize) -> String {
    let columns: usize = text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    format!("{text}{}", " ".repeat(width.saturating_sub(columns)))
}

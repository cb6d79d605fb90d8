//! A client that stays connected: the command-line client, fed through a pipe.

use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

/// One connection, statement after statement.
pub struct Session {
    client: Child,
    input: ChildStdin,
    output: BufReader<PipeReader>,
    sent: u64,
}

impl Session {
    /// `client` is a `mysql` that knows where to connect.
    pub(super) fn start(mut client: Command) -> Result<Self, String> {
        // One pipe for both streams: an error stands where it happened among the results.
        let (output, writer) = std::io::pipe().map_err(|error| error.to_string())?;
        let errors = writer.try_clone().map_err(|error| error.to_string())?;
        client.args(["-N", "-B", "--unbuffered", "--force", "--skip-reconnect"]);
        // Ctrl-C is its owner's; it ends with its input.
        client.stdin(Stdio::piped()).stdout(writer).stderr(errors).process_group(0);
        let mut child = client.spawn().map_err(|error| format!("cannot run mysql: {error}"))?;
        // The command holds the writing end too, and would keep the pipe open after the client's death.
        drop(client);
        let input = child.stdin.take().ok_or("no pipe to mysql")?;
        let mut session = Self { client: child, input, output: BufReader::new(output), sent: 0 };
        session.run("DO 0")?;
        Ok(session)
    }

    /// Runs statements (parted by `;`) and returns their rows, columns parted by tabs. After an error the rest still
    /// runs; the first error is the answer.
    pub fn run(&mut self, sql: &str) -> Result<String, String> {
        self.sent += 1;
        let marker = format!("answered-{}", self.sent);
        let text = format!("{sql};\nSELECT '{marker}';\n");
        self.input.write_all(text.as_bytes()).map_err(|error| format!("mysql is gone: {error}"))?;
        self.read_to(&marker)
    }

    fn read_to(&mut self, marker: &str) -> Result<String, String> {
        let mut rows = String::new();
        let mut failure = None;
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).map_err(|error| format!("mysql: {error}"))?;
            if read == 0 {
                return Err(failure.unwrap_or_else(|| "the connection is gone".to_owned()));
            }
            if line.trim_end() == marker {
                return failure.map_or(Ok(rows.trim_end_matches('\n').to_owned()), Err);
            }
            if line.starts_with("ERROR ") {
                if lost(&line) {
                    return Err(line);
                }
                failure.get_or_insert(line);
            } else {
                rows.push_str(&line);
            }
        }
    }
}

/// After these the marker cannot come: the client's own errors (2000 to 2999), and the server's last words.
fn lost(error: &str) -> bool {
    ["ERROR 2", "ERROR 1053 ", "ERROR 3169 ", "ERROR 4031 "].iter().any(|code| error.starts_with(code))
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

//! Passwords and tokens: where they come from, and a wrapper that cannot be printed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::bail;
use crate::error::{Code, Error, Result};

/// No password or token is longer: IAM tokens have about 1 KiB, Entra tokens about 2 KiB.
const MAX_BYTES: u64 = 64 * 1024;
/// A command that makes a token calls a cloud's service; longer than this it hangs.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A text that `Debug` never shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted(String);

impl Redacted {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: only for the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Redacted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// How an account proves itself; resolved anew at each connect, so that rotated passwords and short-lived tokens work.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Secret {
    /// An account without a password.
    #[default]
    None,
    /// The password itself (tests, and passwords typed at a prompt).
    Text(Redacted),
    /// A file that holds the password; one newline at its end is not part of it.
    File(PathBuf),
    /// An environment variable that holds the password.
    Env(String),
    /// A shell command that prints the password.
    Command(String),
    /// A file that holds a token (AWS IAM, Entra): `mysql_clear_password`, so only over TLS.
    TokenFile(PathBuf),
    /// A shell command that prints a token.
    TokenCommand(String),
}

/// The command is not shown: people put secrets into commands.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Text(_) => f.write_str("Text(<redacted>)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::Command(_) => f.write_str("Command(<redacted>)"),
            Self::TokenFile(path) => f.debug_tuple("TokenFile").field(path).finish(),
            Self::TokenCommand(_) => f.write_str("TokenCommand(<redacted>)"),
        }
    }
}

impl Secret {
    /// Whether this is a token, which must never cross a plain connection in any form.
    pub fn is_token(&self) -> bool {
        matches!(self, Self::TokenFile(_) | Self::TokenCommand(_))
    }

    /// Reads the secret from where it is kept. Errors are [`Code::Secret`] and never hold any of it.
    pub async fn resolve(&self) -> Result<Redacted> {
        let text = match self {
            Self::None => return Ok(Redacted::default()),
            Self::Text(text) => text.expose().to_owned(),
            Self::File(path) | Self::TokenFile(path) => without_newline(read_file(path).await?),
            Self::Env(name) => read_variable(name)?,
            Self::Command(command) | Self::TokenCommand(command) => {
                without_newline(run_command(command).await?)
            }
        };
        if text.contains('\0') {
            bail!(Secret, "the secret holds a NUL byte, which no MySQL password can");
        }
        if text.is_empty() && self.is_token() {
            bail!(Secret, "the token is empty");
        }
        Ok(Redacted(text))
    }
}

fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

async fn read_file(path: &Path) -> Result<String> {
    let failed = |error: &std::io::Error| {
        Error::new(Code::Secret, format!("secret file {}: {}", path.display(), error.kind()))
    };
    let file = tokio::fs::File::open(path).await.map_err(|error| failed(&error))?;
    read_text(file).await?.map_err(|error| failed(&error))
}

/// The outer error is about the content, the inner one about reading it.
async fn read_text(source: impl AsyncRead + Unpin) -> Result<std::io::Result<String>> {
    let mut bytes = Vec::new();
    if let Err(error) = source.take(MAX_BYTES + 1).read_to_end(&mut bytes).await {
        return Ok(Err(error));
    }
    if bytes.len() as u64 > MAX_BYTES {
        bail!(Secret, "the secret is longer than {MAX_BYTES} bytes");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Ok(text)),
        // The error of the standard library would hold the bytes.
        Err(_) => bail!(Secret, "the secret is not UTF-8 text"),
    }
}

fn read_variable(name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(text) => Ok(text),
        Err(std::env::VarError::NotPresent) => bail!(Secret, "environment variable {name} is not set"),
        Err(std::env::VarError::NotUnicode(_)) => {
            bail!(Secret, "environment variable {name} is not UTF-8 text")
        }
    }
}

async fn run_command(command: &str) -> Result<String> {
    match tokio::time::timeout(COMMAND_TIMEOUT, output_of(command)).await {
        Ok(text) => text,
        Err(_) => {
            bail!(Secret, "the secret's command did not end within {} s", COMMAND_TIMEOUT.as_secs())
        }
    }
}

/// What the command printed; its complaints are not repeated, for they may quote what it was given.
async fn output_of(command: &str) -> Result<String> {
    let failed = |error: &std::io::Error| {
        Error::new(Code::Secret, format!("the secret's command cannot be run: {}", error.kind()))
    };
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error))?;
    let Some(stdout) = child.stdout.take() else {
        bail!(Secret, "the secret's command has no output");
    };
    let text = read_text(stdout).await?.map_err(|error| failed(&error))?;
    let status = child.wait().await.map_err(|error| failed(&error))?;
    if !status.success() {
        bail!(Secret, "the secret's command failed: {status}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_passwords_nor_commands() {
        let secrets = [
            Secret::Text(Redacted::new("hunter2")),
            Secret::Command("echo hunter2".to_owned()),
            Secret::TokenCommand("echo hunter2".to_owned()),
        ];
        assert!(!format!("{secrets:?} {:?}", Redacted::new("hunter2")).contains("hunter2"));
    }

    #[tokio::test]
    async fn one_newline_at_the_end_of_a_file_is_not_part_of_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        for (content, wanted) in [("pw\n", "pw"), ("pw\r\n", "pw"), ("pw\n\n", "pw\n"), (" pw ", " pw ")] {
            let path = folder.path().join("secret");
            std::fs::write(&path, content).unwrap();
            assert_eq!(Secret::File(path).resolve().await.unwrap().expose(), wanted);
        }
    }

    #[tokio::test]
    async fn a_command_is_run_anew_at_each_resolution() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = Secret::TokenCommand(format!("cat '{}'", path.display()));
        for token in ["first", "second"] {
            std::fs::write(&path, token).unwrap();
            assert_eq!(secret.resolve().await.unwrap().expose(), token);
        }
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_read_is_a_secret_error_without_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("binary");
        std::fs::write(&binary, b"hunter2\xff").unwrap();
        let huge = folder.path().join("huge");
        std::fs::write(&huge, vec![b'h'; 70_000]).unwrap();
        let secrets = [
            Secret::File(folder.path().join("missing")),
            Secret::File(binary),
            Secret::File(huge),
            Secret::Env("BINBRIDGE_TEST_NOT_SET".to_owned()),
            Secret::Command("echo hunter2; echo hunter2 >&2; exit 3".to_owned()),
            Secret::TokenCommand("true".to_owned()),
        ];
        for secret in secrets {
            let error = secret.resolve().await.unwrap_err();
            assert_eq!(error.code(), Code::Secret, "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

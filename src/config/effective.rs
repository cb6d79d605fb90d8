//! What is in effect, and why: `binbridge config show`.

use super::keys::KEYS;
use super::raw::{Raw, Value};
use std::fmt;

/// Every key with its value and origin. Secrets are named by kind, never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// In the order of the documentation.
    pub entries: Vec<Entry>,
}

/// One key as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, such as `source.host`.
    pub key: &'static str,
    /// The value as TOML would have it; `None`: not set.
    pub value: Option<String>,
    /// `default`, `binbridge.toml:3`, `env BINBRIDGE_SOURCE__HOST` or `flag --source-host`.
    pub origin: String,
}

impl Effective {
    pub(super) fn new(raw: &Raw) -> Self {
        let entries = KEYS.iter().map(|key| match raw.given.get(key.path) {
            Some(given) => Entry {
                key: key.path,
                value: Some(shown(key.name(), &given.value)),
                origin: given.place.origin(),
            },
            None => Entry { key: key.path, value: None, origin: "not set".to_owned() },
        });
        Self { entries: entries.collect() }
    }
}

/// As a file would be: sections, then keys, the origin as a comment.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entries) in self.entries.chunk_by(|a, b| parts(a).0 == parts(b).0).enumerate() {
            let section = entries.first().map_or("", |entry| parts(entry).0);
            writeln!(f, "{}[{section}]", if index == 0 { "" } else { "\n" })?;
            let mut absent = Vec::new();
            for entry in entries {
                let name = parts(entry).1;
                match &entry.value {
                    Some(value) => writeln!(f, "{:<48} # {}", format!("{name} = {value}"), entry.origin)?,
                    None => absent.push(name),
                }
            }
            if !absent.is_empty() {
                writeln!(f, "# not set: {}", absent.join(", "))?;
            }
        }
        Ok(())
    }
}

fn parts(entry: &Entry) -> (&'static str, &'static str) {
    entry.key.split_once('.').unwrap_or(("", entry.key))
}

fn shown(name: &str, value: &Value) -> String {
    match value {
        // People put secrets into commands.
        Value::Untyped(_) | Value::Text(_) if name.ends_with("_command") => "<command, not shown>".to_owned(),
        Value::Untyped(text) if text.parse::<i64>().is_ok() => text.clone(),
        Value::Untyped(text) | Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|(text, _)| format!("{text:?}")).collect::<Vec<_>>().join(", "))
        }
        Value::Pairs(pairs) => {
            let pairs = pairs.iter().map(|(from, to, _)| format!("{from:?} = {to:?}"));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

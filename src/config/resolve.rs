//! From what was given to what it means. Nothing stops at the first error.

use super::filter::{Filter, Name, Names, Pattern, Rename};
use super::keys;
use super::problem::{Place, Problem, Problems};
use super::raw::{Raw, Value};
use super::reader::Reader;
use super::{Admin, Apply, Bridge, Config, Log, Shutdown, Source, Target, value};
use crate::check::OVERRULED;
use crate::error::Code;
use crate::observe::log;
use crate::wire::{Endpoint, Secret, SslMode, Timeouts, Tls};
use std::path::PathBuf;
use std::str::FromStr;
use uuid::Uuid;

/// The keys of a section of which one at most may be given.
const SECRETS: [&str; 5] =
    ["password_file", "password_env", "password_command", "token_file", "token_command"];
/// Schemas that are the servers' own.
const SYSTEM: [&str; 4] = ["mysql", "sys", "information_schema", "performance_schema"];
/// Shown to the servers as `program_name`.
const PROGRAM: &str = "binbridge";

/// Resolves everything; all problems at once.
pub(super) fn resolve(raw: &mut Raw) -> Result<Config, Problems> {
    imply_verification(raw);
    let config = Reader { raw }.config();
    let problems = std::mem::take(&mut raw.problems);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Problems(in_order(problems))),
    }
}

/// By line within the file, then the environment, then flags.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| match &problem.place {
        Place::File(_, span) => (0, span.start),
        Place::Whole(_) | Place::Default | Place::Derived(_) => (1, 0),
        Place::Variable(_) => (2, 0),
        Place::Flag(_) => (3, 0),
    });
    problems
}

/// Who names a CA wants it to be used.
fn imply_verification(raw: &mut Raw) {
    for (ca, mode) in [("source.ssl_ca", "source.ssl_mode"), ("target.ssl_ca", "target.ssl_mode")] {
        let named = raw.given.contains_key(ca);
        if let Some(given) = raw.given.get_mut(mode).filter(|given| named && given.place == Place::Default) {
            given.value = Value::Untyped(SslMode::VerifyCa.as_str().to_owned());
            given.place = Place::Derived("as ssl_ca is given");
        }
    }
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        let bridge = self.bridge();
        let source = self.source();
        let target = self.target();
        let (filter, apply) = (self.filter(), self.apply());
        let native = source.as_ref().and_then(|source| self.native(&source.endpoint));
        let admin = self.admin();
        let (format, level) = (self.choice("log.format"), self.parsed("log.level", level));
        let grace = self.duration("shutdown.grace");
        Some(Config {
            bridge: bridge?,
            source: source?,
            target: target?,
            filter: filter?,
            apply: apply?,
            native: native?,
            admin: admin?,
            log: Log { format: format?, level: level? },
            shutdown: Shutdown { grace: grace? },
        })
    }

    fn admin(&mut self) -> Option<Admin> {
        let listen = self.parsed("admin.listen", value::listen);
        let token_file = self.optional("admin.token_file", |reader, key| reader.parsed(key, path));
        Some(Admin { listen: listen?, token_file: token_file? })
    }

    fn bridge(&mut self) -> Option<Bridge> {
        let (name, schema) = (self.parsed("bridge.name", bridge_name), self.parsed("bridge.schema", schema));
        let (lease, despite) = (self.duration("bridge.lease"), self.overruled());
        Some(Bridge { name: name?, schema: schema?, lease: lease?, despite: despite? })
    }

    fn overruled(&mut self) -> Option<Vec<Code>> {
        let words: Vec<String> = self.list("bridge.despite").into_iter().map(|(word, _)| word).collect();
        let code = |word: &String| OVERRULED.into_iter().find(|code| code.as_str() == word);
        if let Some(unknown) = words.iter().find(|word| code(word).is_none()) {
            let known = OVERRULED.map(Code::as_str).join(", ");
            self.problem("bridge.despite", format!("`{unknown}` is none of {known}"));
            return None;
        }
        Some(words.iter().filter_map(code).collect())
    }

    fn source(&mut self) -> Option<Source> {
        let endpoint = self.endpoint("source");
        let server_id = self.optional("source.server_id", Self::integer);
        let heartbeat = self.duration("source.heartbeat");
        let report_host = self.optional("source.report_host", |reader, key| reader.parsed(key, report_host));
        let accept_uuid = self.optional("source.accept_uuid", |reader, key| reader.parsed(key, uuid));
        let (endpoint, heartbeat) = (endpoint?, heartbeat?);
        if endpoint.timeouts.read < heartbeat * 2 {
            self.problem(
                "source.read_timeout",
                "must be at least twice source.heartbeat, or an idle source looks lost",
            );
        }
        Some(Source {
            endpoint,
            server_id: server_id?,
            heartbeat,
            report_host: report_host?,
            accept_uuid: accept_uuid?,
        })
    }

    fn target(&mut self) -> Option<Target> {
        self.endpoint("target").map(|endpoint| Target { endpoint })
    }

    fn endpoint(&mut self, section: &'static str) -> Option<Endpoint> {
        let key = |name: &str| keys::find(&format!("{section}.{name}")).map_or("", |key| key.path);
        let host = self.required(key("host")).and_then(|()| self.parsed(key("host"), value::host));
        let port = self.integer(key("port"));
        let user = self.required(key("user")).and_then(|()| self.parsed(key("user"), user));
        let secret = self.secret(section);
        let tls = self.tls(section, secret.as_ref());
        let standard = Timeouts::default();
        let timeouts = Timeouts {
            connect: self.duration(key("connect_timeout")).unwrap_or(standard.connect),
            read: self.duration(key("read_timeout")).unwrap_or(standard.read),
            write: self.duration(key("write_timeout")).unwrap_or(standard.write),
        };
        Some(Endpoint {
            host: host?,
            port: port?,
            user: user?,
            secret: secret?,
            tls: tls?,
            timeouts,
            program: PROGRAM,
        })
    }

    /// The secret of the uppermost layer that names one; one layer names one at most.
    pub(super) fn secret(&mut self, section: &'static str) -> Option<Secret> {
        let given: Vec<_> = SECRETS
            .iter()
            .filter_map(|name| keys::find(&format!("{section}.{name}")))
            .filter_map(|key| self.raw.given.get(key.path).map(|given| (key, given.layer)))
            .collect();
        let Some(uppermost) = given.iter().map(|(_, layer)| *layer).max() else { return Some(Secret::None) };
        let (used, beaten): (Vec<_>, Vec<_>) = given.into_iter().partition(|(_, layer)| *layer == uppermost);
        for (key, _) in beaten {
            self.raw.given.remove(key.path);
        }
        match used.as_slice() {
            [(key, _)] => self.parsed(key.path, |text| secret(key.name(), text)),
            [(first, _), (second, _), ..] => {
                let message =
                    format!("both {} and {} are given: which of them is it?", first.name(), second.name());
                self.problem(second.path, message);
                None
            }
            [] => Some(Secret::None),
        }
    }

    fn tls(&mut self, section: &'static str, secret: Option<&Secret>) -> Option<Tls> {
        let key = |name: &str| keys::find(&format!("{section}.{name}")).map_or("", |key| key.path);
        let mode: SslMode = self.choice(key("ssl_mode"))?;
        let ca: Vec<_> = self.list(key("ssl_ca")).into_iter().map(|(path, _)| PathBuf::from(path)).collect();
        let cert = self.optional(key("ssl_cert"), |reader, key| reader.parsed(key, path))?;
        let client_key = self.optional(key("ssl_key"), |reader, key| reader.parsed(key, path))?;
        let verified = matches!(mode, SslMode::VerifyCa | SslMode::VerifyIdentity);
        if !ca.is_empty() && !verified {
            let message = format!("{} does not look at ssl_ca", mode.as_str());
            self.problem_with_hint(
                key("ssl_mode"),
                message,
                "use verify-ca or verify-identity, or leave ssl_ca out",
            );
        }
        match (&cert, &client_key) {
            (Some(_), None) => self.problem(key("ssl_cert"), "needs ssl_key beside it"),
            (None, Some(_)) => self.problem(key("ssl_key"), "needs ssl_cert beside it"),
            _ => {}
        }
        let token = matches!(secret, Some(Secret::TokenFile(_) | Secret::TokenCommand(_)));
        if token && matches!(mode, SslMode::Disabled | SslMode::Preferred) {
            let message =
                format!("a token is sent in clear text, and {} does not insist on TLS", mode.as_str());
            self.problem_with_hint(key("ssl_mode"), message, "use required, verify-ca or verify-identity");
        }
        Some(Tls { mode, ca, cert, key: client_key })
    }

    fn filter(&mut self) -> Option<Filter> {
        let include = self.patterns("filter.include");
        let exclude = self.patterns("filter.exclude");
        let rename = self.renames();
        Some(Filter {
            include: include?,
            exclude: exclude?,
            rename: rename?,
            names: self.choice("filter.names")?,
        })
    }

    fn patterns(&mut self, key: &'static str) -> Option<Vec<Pattern>> {
        let items = self.list(key);
        let found = items.len();
        let patterns: Vec<_> = items
            .into_iter()
            .filter_map(|(text, place)| match value::pattern(&text) {
                Ok(pattern) => Some(pattern),
                Err(why) => {
                    self.raw.problems.push(Problem::new(place, format!("`{text}` in {key}: {why}")));
                    None
                }
            })
            .collect();
        (patterns.len() == found).then_some(patterns)
    }

    fn renames(&mut self) -> Option<Vec<Rename>> {
        let pairs = self.pairs("filter.rename")?;
        let mut renames: Vec<Rename> = Vec::new();
        let before = self.raw.problems.len();
        for (from, to, place) in pairs {
            match rename(&from, &to) {
                Ok(rename) if renames.iter().any(|known| known.from == rename.from) => {
                    self.raw.problems.push(Problem::new(place, format!("`{from}` is renamed twice")));
                }
                Ok(rename)
                    if rename.to.table.is_some() && renames.iter().any(|known| known.to == rename.to) =>
                {
                    self.raw.problems.push(Problem::new(place, format!("two tables would become `{to}`")));
                }
                Ok(rename) => renames.push(rename),
                Err(why) => {
                    self.raw
                        .problems
                        .push(Problem::new(place, format!("`{from}` = `{to}` in filter.rename: {why}")));
                }
            }
        }
        (self.raw.problems.len() == before).then_some(renames)
    }

    fn apply(&mut self) -> Option<Apply> {
        let (workers, depth) = (self.integer_or_auto("apply.workers"), self.integer("apply.depth"));
        let batch_transactions = self.integer("apply.batch_transactions");
        let batch_time = self.duration("apply.batch_time");
        let (batch_bytes, memory) = (self.size("apply.batch_bytes"), self.size("apply.memory"));
        let large_transaction = self.size("apply.large_transaction");
        let max_transactions_per_second = self.integer("apply.max_transactions_per_second");
        let max_bytes_per_second = self.size("apply.max_bytes_per_second");
        let merge = self.choice("apply.merge");
        let gtid = self.choice("apply.gtid");
        let apply = Apply {
            workers: workers?,
            depth: depth?,
            batch_transactions: batch_transactions?,
            batch_time: batch_time?,
            batch_bytes: batch_bytes?,
            merge: merge?,
            gtid: gtid?,
            memory: memory?,
            large_transaction: large_transaction?,
            max_transactions_per_second: max_transactions_per_second?,
            max_bytes_per_second: max_bytes_per_second? as u64,
        };
        for (key, bytes) in
            [("apply.batch_bytes", apply.batch_bytes), ("apply.large_transaction", apply.large_transaction)]
        {
            if bytes > apply.memory {
                self.problem(
                    key,
                    format!(
                        "must not be larger than apply.memory, {}",
                        value::size_text(apply.memory as u64)
                    ),
                );
            }
        }
        Some(apply)
    }
}

fn bridge_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let good = (1..=64).contains(&text.len()) && text.chars().all(fits);
    good.then(|| text.to_owned())
        .ok_or_else(|| "expected 1 to 64 of the characters A-Z a-z 0-9 _ . -".to_owned())
}

fn schema(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !(1..=64).contains(&text.len()) || !text.chars().all(fits) {
        return Err("expected 1 to 64 of the characters a-z 0-9 _".to_owned());
    }
    if SYSTEM.contains(&text) {
        return Err("this schema is the server's own".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn user(text: &str) -> Result<String, String> {
    let good = (1..=128).contains(&text.len()) && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(|| "expected an account's name of 1 to 128 bytes".to_owned())
}

/// `COM_REGISTER_SLAVE` has one byte for its length, the server keeps 60 characters.
fn report_host(text: &str) -> Result<String, String> {
    let good = (1..=60).contains(&text.len()) && text.is_ascii() && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(|| "expected 1 to 60 ASCII characters".to_owned())
}

fn uuid(text: &str) -> Result<Uuid, String> {
    let wrong = |_| "expected a server_uuid such as 3e11fa47-71ca-11e1-9e33-c80aa9429562".to_owned();
    text.parse().map_err(wrong)
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

fn level(text: &str) -> Result<String, String> {
    log::filter(text).map(|_| text.to_owned()).map_err(|error| error.message().to_owned())
}

fn secret(name: &str, text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    match name {
        "password_file" => Ok(Secret::File(PathBuf::from(text))),
        "token_file" => Ok(Secret::TokenFile(PathBuf::from(text))),
        "password_command" => Ok(Secret::Command(text.to_owned())),
        "token_command" => Ok(Secret::TokenCommand(text.to_owned())),
        _ => variable(text).map(Secret::Env),
    }
}

fn variable(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = text.chars().all(fits) && !text.starts_with(|c: char| c.is_ascii_digit());
    let wrong = || "expected the name of an environment variable, not the secret itself".to_owned();
    good.then(|| text.to_owned()).ok_or_else(wrong)
}

fn rename(from: &str, to: &str) -> Result<Rename, String> {
    let (from, to) = (value::name(from)?, value::name(to)?);
    if from.table.is_some() != to.table.is_some() {
        return Err(
            "a schema becomes a schema, a table becomes a table (\"db.table\" = \"other.table\")".to_owned()
        );
    }
    let system = |name: &Name| SYSTEM.contains(&name.schema.to_ascii_lowercase().as_str());
    if system(&from) || system(&to) {
        return Err("the server's own schemas are not replicated".to_owned());
    }
    Ok(Rename { from, to })
}

impl FromStr for Names {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "keep" => Ok(Self::Keep),
            "lower" => Ok(Self::Lower),
            _ => Err(()),
        }
    }
}

//! What was given, key by key, before anyone asks what it means: file < environment < flags.

use super::keys::{self, ENV_PREFIX, KEYS, Key, Kind};
use super::problem::{Document, Place, Problem, is_secret};
use super::suggest::nearest;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration file is never larger.
const MAX_FILE: u64 = 1 << 20;

/// A flag of the command line that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The key's path, such as `source.host`.
    pub key: String,
    /// The value, in the form the environment would have.
    pub value: String,
    /// The flag as it was typed, for errors and `config show`.
    pub flag: String,
}

/// A value as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Text without a type: environment, flag, default.
    Untyped(String),
    /// A string of the file.
    Text(String),
    /// An integer of the file.
    Integer(i64),
    /// Texts, each with its place.
    List(Vec<(String, Place)>),
    /// Pairs of texts, each with its place.
    Pairs(Vec<(String, String, Place)>),
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) place: Place,
    /// 0 the default, 1 the file, 2 the environment, 3 flags.
    pub(super) layer: u8,
}

/// Everything given, and what was wrong with it so far.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) problems: Vec<Problem>,
    /// The file's name, if there is a file.
    pub(super) file: Option<String>,
}

impl Raw {
    /// Reads the file. Without it there is no telling what is missing.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), Problem> {
        let name = path.display().to_string();
        self.file = Some(name.clone());
        let text = read(path).map_err(|why| Problem::new(Place::Whole(name.clone()), why))?;
        self.document(name, text);
        Ok(())
    }

    /// Takes a file's text.
    pub(super) fn document(&mut self, name: String, text: String) {
        let document = Arc::new(Document { name, text });
        let (root, errors) = DeTable::parse_recoverable(&document.text);
        for error in errors {
            let place = Place::File(Arc::clone(&document), error.span().unwrap_or(0..0));
            self.problems.push(Problem::new(place, error.message().replace('\n', ", ")));
        }
        for (section, value) in root.get_ref() {
            self.section(&document, section.get_ref(), &section.span(), value);
        }
    }

    /// Takes what the environment says under our prefix. Variables without `__` are not configuration keys.
    pub(super) fn environment(&mut self, variables: &[(String, String)]) {
        for (variable, value) in variables {
            let Some(rest) = variable.strip_prefix(ENV_PREFIX) else { continue };
            let Some((section, name)) = rest.split_once("__") else { continue };
            let path = format!("{}.{}", section.to_ascii_lowercase(), name.to_ascii_lowercase());
            let place = Place::Variable(variable.clone());
            match keys::find(&path) {
                Some(key) => self.set(key, Value::Untyped(value.clone()), place, 2),
                None => self.unknown(place, &path, |path| keys::find(path).map(Key::variable)),
            }
        }
    }

    /// Takes the flags.
    pub(super) fn flags(&mut self, flags: &[Flag]) {
        for flag in flags {
            let place = Place::Flag(flag.flag.clone());
            match keys::find(&flag.key) {
                Some(key) => self.set(key, Value::Untyped(flag.value.clone()), place, 3),
                None => self.unknown(place, &flag.key, |path| Some(path.to_owned())),
            }
        }
    }

    /// Fills in what nobody gave.
    pub(super) fn defaults(&mut self) {
        for key in KEYS {
            if let (Some(default), false) = (key.default, self.given.contains_key(key.path)) {
                self.set(key, Value::Untyped(default.to_owned()), Place::Default, 0);
            }
        }
    }

    fn set(&mut self, key: &'static Key, value: Value, place: Place, layer: u8) {
        self.given.insert(key.path, Given { value, place, layer });
    }

    fn unknown(&mut self, place: Place, path: &str, spell: impl Fn(&str) -> Option<String>) {
        let (section, name) = path.split_once('.').unwrap_or(("", path));
        let mut problem = Problem::new(place, format!("unknown key `{path}`"));
        if is_password(name) {
            problem = literal_password(problem.place);
        } else if let Some(hint) = hint(section, name, spell) {
            problem = problem.hint(hint);
        }
        self.problems.push(problem);
    }

    fn section(
        &mut self,
        document: &Arc<Document>,
        section: &str,
        span: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let place = Place::File(Arc::clone(document), span.clone());
        let sections = keys::sections();
        let Some(table) = value.get_ref().as_table() else {
            self.problems.push(stray(place, section, &sections));
            return;
        };
        if !sections.contains(&section) {
            let problem = Problem::new(place, format!("unknown section [{section}]"));
            let hint = match nearest(section, &sections) {
                Some(near) => format!("did you mean [{near}]?"),
                None => format!("there are [{}]", sections.join("], [")),
            };
            self.problems.push(problem.hint(hint));
            return;
        }
        for (name, value) in table {
            self.entry(document, section, name, value);
        }
    }

    fn entry(
        &mut self,
        document: &Arc<Document>,
        section: &str,
        name: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let text = name.get_ref().as_ref();
        let path = format!("{section}.{text}");
        let Some(key) = keys::find(&path) else {
            let place = Place::File(Arc::clone(document), name.span());
            self.unknown(place, &path, |path| path.split_once('.').map(|(_, name)| name.to_owned()));
            return;
        };
        match typed(document, key, value) {
            Ok(given) => self.set(key, given, Place::File(Arc::clone(document), value.span()), 1),
            Err(problem) => self.problems.push(problem),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > MAX_FILE {
        return Err(format!("is larger than {MAX_FILE} bytes: is it a configuration?"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
}

/// A value of the file, if it has the type that the key wants.
fn typed(document: &Arc<Document>, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<Value, Problem> {
    let here = |span: Range<usize>| Place::File(Arc::clone(document), span);
    let wrong = |wanted: &str, found: &Spanned<DeValue<'_>>| {
        Problem::new(
            here(found.span()),
            format!("`{}` must be {wanted}, not {}", key.path, article(found.get_ref().type_str())),
        )
    };
    match (key.kind, value.get_ref()) {
        (Kind::IntegerOrAuto(..), DeValue::String(text)) if text == "auto" => {
            Ok(Value::Text(text.to_string()))
        }
        (Kind::Integer(..) | Kind::IntegerOrAuto(..) | Kind::Size(..), DeValue::Integer(integer)) => {
            let parsed = i64::from_str_radix(integer.as_str(), integer.radix());
            parsed
                .map(Value::Integer)
                .map_err(|_| Problem::new(here(value.span()), "this number is too large"))
        }
        (Kind::Integer(..), _) => Err(wrong("an integer", value)),
        (Kind::IntegerOrAuto(..), _) => Err(wrong("an integer or \"auto\"", value)),
        (Kind::Choice(keys::BOOLEAN), DeValue::Boolean(on)) => Ok(Value::Text(on.to_string())),
        (Kind::Choice(keys::BOOLEAN), _) => Err(wrong("true or false", value)),
        (Kind::List, DeValue::Array(array)) => {
            let text = |item: &Spanned<DeValue<'_>>| match item.get_ref().as_str() {
                Some(text) => Ok((text.to_owned(), here(item.span()))),
                None => Err(wrong("a list of strings", item)),
            };
            array.iter().map(text).collect::<Result<_, _>>().map(Value::List)
        }
        (Kind::List, DeValue::String(text)) => Ok(Value::List(vec![(text.to_string(), here(value.span()))])),
        (Kind::List, _) => Err(wrong("a string or a list of strings", value)),
        (Kind::Pairs, DeValue::Table(table)) => {
            let pair = |(from, to): (&Spanned<_>, &Spanned<DeValue<'_>>)| match to.get_ref().as_str() {
                Some(text) => Ok((from_text(from), text.to_owned(), here(from.span()))),
                None => Err(wrong("a table of strings", to)),
            };
            table.iter().map(pair).collect::<Result<_, _>>().map(Value::Pairs)
        }
        (Kind::Pairs, _) => Err(wrong("a table such as { \"old\" = \"new\" }", value)),
        (_, DeValue::String(text)) => Ok(Value::Text(text.to_string())),
        (Kind::Duration(..), DeValue::Integer(_)) => {
            Err(wrong("a string", value).hint("a duration needs a unit, such as \"5s\" or \"2m\""))
        }
        (Kind::Size(..), _) => Err(wrong("a size such as \"4 MiB\"", value)),
        (_, _) => Err(wrong("a string", value)),
    }
}

fn from_text(from: &Spanned<std::borrow::Cow<'_, str>>) -> String {
    from.get_ref().to_string()
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// A key outside of any section.
fn stray(place: Place, key: &str, sections: &[&str]) -> Problem {
    if is_password(key) {
        return literal_password(place);
    }
    if sections.contains(&key) {
        return Problem::new(place, format!("`{key}` is a section"))
            .hint(format!("write [{key}] and its keys below it"));
    }
    let problem = Problem::new(place, format!("unknown key `{key}` outside of any section"));
    match homes(key).as_slice() {
        [] => problem,
        homes => problem.hint(format!("`{key}` belongs to [{}]", homes.join("] or ["))),
    }
}

fn hint(section: &str, name: &str, spell: impl Fn(&str) -> Option<String>) -> Option<String> {
    let within: Vec<_> = KEYS.iter().filter(|key| key.section() == section).map(Key::name).collect();
    if within.is_empty() {
        let near = nearest(section, &keys::sections())?;
        let spelled = spell(&format!("{near}.{name}"))?;
        return Some(format!("did you mean `{spelled}`?"));
    }
    if let Some(near) = nearest(name, &within) {
        return Some(format!("did you mean `{}`?", spell(&format!("{section}.{near}"))?));
    }
    match homes(name).as_slice() {
        [] => Some(format!("[{section}] has {}", within.join(", "))),
        homes => Some(format!("`{name}` belongs to [{}]", homes.join("] or ["))),
    }
}

/// The sections that have a key of this name.
fn homes(name: &str) -> Vec<&'static str> {
    KEYS.iter().filter(|key| key.name() == name).map(Key::section).collect()
}

/// A name under which people write a secret itself.
fn is_password(name: &str) -> bool {
    let leads_to_it = ["_file", "_env", "_command"].iter().any(|end| name.contains(end));
    is_secret(name) && !leads_to_it
}

fn literal_password(place: Place) -> Problem {
    Problem::new(place, "a secret does not stand in the configuration").hint(
        "use password_file = \"/path\", password_env = \"VARIABLE\" or password_command = \"program\" \
         (tokens: token_file, token_command)",
    )
}

//! Reads keys as values. What is wrong is noted with its place, and reading goes on.

use super::keys::{self, Kind};
use super::problem::{Place, Problem};
use super::raw::{Given, Raw, Value};
use super::value;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// What was given, to be read key by key.
pub(super) struct Reader<'a> {
    pub(super) raw: &'a mut Raw,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, key: &'static str, message: impl Display) {
        let place = self.place(key);
        self.raw.problems.push(Problem::new(place, format!("`{key}`: {message}")));
    }

    pub(super) fn problem_with_hint(&mut self, key: &'static str, message: impl Display, hint: &str) {
        let place = self.place(key);
        self.raw.problems.push(Problem::new(place, format!("`{key}`: {message}")).hint(hint));
    }

    pub(super) fn place(&self, key: &str) -> Place {
        let whole = || Place::Whole(self.raw.file.clone().unwrap_or_else(|| "configuration".to_owned()));
        match self.raw.given.get(key).map(|given| &given.place) {
            None | Some(Place::Default | Place::Derived(_)) => whole(),
            Some(place) => place.clone(),
        }
    }

    pub(super) fn required(&mut self, key: &'static str) -> Option<()> {
        if self.raw.given.contains_key(key) {
            return Some(());
        }
        let found = keys::find(key)?;
        let hint = format!(
            "write {} = \"...\" under [{}], or set {}",
            found.name(),
            found.section(),
            found.variable()
        );
        let place = self.place(key);
        // A value of the wrong type was told already.
        let told = |problem: &Problem| problem.message.contains(&format!("`{key}`"));
        if !self.raw.problems.iter().any(told) {
            self.raw.problems.push(Problem::new(place, format!("`{key}` is missing")).hint(hint));
        }
        None
    }

    /// A text, understood; `None` if it is not given or wrong. The value itself is not repeated.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = match self.raw.given.get(key).map(|given| &given.value) {
            Some(Value::Untyped(text) | Value::Text(text)) => text.clone(),
            _ => return None,
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problem(key, why);
                None
            }
        }
    }

    /// A key that need not be given: `Some(None)` if it is not, `None` if it is wrong.
    #[expect(clippy::option_option, reason = "three outcomes: wrong and told, not given, given")]
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.raw.given.contains_key(key) { read(self, key).map(Some) } else { Some(None) }
    }

    pub(super) fn choice<T: FromStr>(&mut self, key: &'static str) -> Option<T> {
        let Some(Kind::Choice(words)) = keys::find(key).map(|key| key.kind) else { return None };
        self.parsed(key, |text| {
            let wrong = |_| format!("expected one of {}", words.join(", "));
            text.to_ascii_lowercase().replace('_', "-").parse().map_err(wrong)
        })
    }

    pub(super) fn integer<T: TryFrom<i64>>(&mut self, key: &'static str) -> Option<T> {
        let Some(Kind::Integer(from, to)) = keys::find(key).map(|key| key.kind) else { return None };
        let parsed = match self.raw.given.get(key).map(|given| &given.value) {
            Some(Value::Integer(number)) => Some(*number),
            Some(Value::Untyped(text)) => text.trim().parse().ok(),
            _ => return None,
        };
        let fitting =
            parsed.filter(|number| (from..=to).contains(number)).and_then(|number| T::try_from(number).ok());
        if fitting.is_none() {
            self.problem(key, format!("must be {from} to {to}"));
        }
        fitting
    }

    /// A number; `None` for `auto`.
    #[allow(clippy::option_option, reason = "the outer one says whether there was a problem")]
    pub(super) fn integer_or_auto<T: TryFrom<i64>>(&mut self, key: &'static str) -> Option<Option<T>> {
        let Some(Kind::IntegerOrAuto(from, to)) = keys::find(key).map(|key| key.kind) else { return None };
        let number = match self.raw.given.get(key).map(|given| &given.value) {
            Some(Value::Integer(number)) => Some(*number),
            Some(Value::Untyped(text) | Value::Text(text)) if text.trim() == "auto" => return Some(None),
            Some(Value::Untyped(text)) => text.trim().parse().ok(),
            _ => return None,
        };
        let fitting = number.filter(|number| (from..=to).contains(number)).map(T::try_from);
        let Some(Ok(fitting)) = fitting else {
            self.problem(key, format!("must be {from} to {to}, or auto"));
            return None;
        };
        Some(Some(fitting))
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let Some(Kind::Duration(from, to)) = keys::find(key).map(|key| key.kind) else { return None };
        self.parsed(key, |text| {
            let found = value::duration(text)?;
            let bounds = || {
                format!("must be {} to {}", humantime::format_duration(from), humantime::format_duration(to))
            };
            (from..=to).contains(&found).then_some(found).ok_or_else(bounds)
        })
    }

    pub(super) fn size(&mut self, key: &'static str) -> Option<usize> {
        let Some(Kind::Size(from, to)) = keys::find(key).map(|key| key.kind) else { return None };
        let number = match self.raw.given.get(key).map(|given| &given.value) {
            Some(Value::Integer(number)) => {
                u64::try_from(*number).map_err(|_| "a size is not negative".to_owned())
            }
            Some(Value::Untyped(text) | Value::Text(text)) => value::size(text),
            _ => return None,
        };
        let bounds = || format!("must be {} to {}", value::size_text(from), value::size_text(to));
        let fitting =
            number.and_then(|number| if (from..=to).contains(&number) { Ok(number) } else { Err(bounds()) });
        match fitting.and_then(|number| usize::try_from(number).map_err(|_| bounds())) {
            Ok(size) => Some(size),
            Err(why) => {
                self.problem(key, why);
                None
            }
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<(String, Place)> {
        match self.raw.given.get(key) {
            Some(Given { value: Value::List(items), .. }) => items.clone(),
            Some(Given { value: Value::Untyped(text), place, .. }) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| (item.to_owned(), place.clone())).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn pairs(&mut self, key: &'static str) -> Option<Vec<(String, String, Place)>> {
        if let Some(Value::Pairs(pairs)) = self.raw.given.get(key).map(|given| &given.value) {
            return Some(pairs.clone());
        }
        let mut pairs = Vec::new();
        for (item, place) in self.list(key) {
            let Some((from, to)) = item.split_once('=') else {
                self.problem(key, format!("`{item}` is not from=to"));
                return None;
            };
            pairs.push((from.trim().to_owned(), to.trim().to_owned(), place));
        }
        Some(pairs)
    }
}

//! Logs: to stderr, in the form that suits the reader.

use crate::bail;
use crate::error::{Code, Error, Result};
use std::io::IsTerminal as _;
use std::str::FromStr;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Pretty on a terminal, logfmt otherwise.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object per line.
    Json,
}

impl Format {
    /// The names in configuration and flags.
    pub const NAMES: &'static [&'static str] = &["auto", "pretty", "logfmt", "json"];

    /// The form that is really used: `Auto` decided.
    fn decided(self, terminal: bool) -> Self {
        match self {
            Self::Auto if terminal => Self::Pretty,
            Self::Auto => Self::Logfmt,
            decided => decided,
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "pretty" => Ok(Self::Pretty),
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => bail!(Config, "log format '{text}' is none of {}", Self::NAMES.join(", ")),
        }
    }
}

/// Reads a filter such as `info` or `warn,binbridge::source=debug`.
///
/// # Errors
/// `Config` if it does not parse.
pub fn filter(text: &str) -> Result<EnvFilter> {
    EnvFilter::builder().parse(text).map_err(|error| {
        Error::new(Code::Config, format!("log level '{text}' cannot be understood: {error}"))
    })
}

/// Makes all events go to stderr. To be called once, by the program.
///
/// # Errors
/// `Config` for a filter that does not parse; `LocalIo` if logs go elsewhere already.
pub fn init(format: Format, level: &str) -> Result<()> {
    let filter = filter(level)?;
    let terminal = std::io::stderr().is_terminal();
    // NO_COLOR (no-color.org): any value but the empty one.
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = layer(format.decided(terminal), color);
    tracing::subscriber::set_global_default(Registry::default().with(filter).with(layer))
        .map_err(|error| Error::new(Code::LocalIo, format!("logs cannot be set up: {error}")))
}

fn layer<S>(format: Format, color: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    // A closed stderr must not make the logger write to stderr.
    let fmt = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    match format {
        Format::Json => fmt.json().flatten_event(true).boxed(),
        Format::Logfmt => fmt
            .fmt_fields(tracing_logfmt::FieldsFormatter::default())
            .event_format(tracing_logfmt::EventsFormatter::default())
            .boxed(),
        Format::Auto | Format::Pretty => fmt.with_ansi(color).with_target(false).compact().boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_pretty_for_people_and_logfmt_for_machines() {
        assert_eq!(Format::Auto.decided(true), Format::Pretty);
        assert_eq!(Format::Auto.decided(false), Format::Logfmt);
        assert_eq!(Format::Json.decided(true), Format::Json);
    }

    #[test]
    fn every_name_is_a_format_and_others_are_told_the_names() {
        assert!(Format::NAMES.iter().all(|name| Format::from_str(name).is_ok()));
        assert!(Format::from_str("xml").unwrap_err().to_string().contains("logfmt"));
    }

    #[test]
    fn a_bad_filter_is_a_configuration_error() {
        assert_eq!(filter("info,binbridge=loud").unwrap_err().code(), Code::Config);
        assert!(filter("info,binbridge::source=debug").is_ok());
    }
}

//! The section `[native]`: what is not said there is as in `[source]`.

use super::Native;
use super::reader::Reader;
use super::{resolve, value};
use crate::native::{Cause, ChannelSource, Policy};
use crate::wire::{Endpoint, Secret, SslMode};

impl Reader<'_> {
    pub(super) fn native(&mut self, source: &Endpoint) -> Option<Native> {
        let auto_takeover = self.choice("native.auto_takeover");
        let takeover_after = self.duration("native.takeover_after");
        let lag_limit = self.optional("native.lag_limit", Self::duration);
        let broken_now = self.classes();
        let dialect = self.parsed("native.dialect", |text| Ok(text.parse().ok()));
        let host = self.optional("native.host", |reader, key| reader.parsed(key, value::host));
        let port = self.optional("native.port", Self::integer);
        let user = self.optional("native.user", |reader, key| reader.parsed(key, resolve::user));
        let secret = self.secret("native");
        let ca = self.optional("native.ssl_ca", |reader, key| reader.parsed(key, resolve::path));
        let (user, secret) = match (user?, secret?) {
            (None, Secret::None) => (source.user.clone(), source.secret.clone()),
            (None, _) => {
                self.problem("native.user", "is needed beside the native channel's password");
                return None;
            }
            (Some(user), secret) => (user, secret),
        };
        Some(Native {
            policy: Policy {
                auto_takeover: auto_takeover?,
                takeover_after: takeover_after?,
                lag_limit: lag_limit?,
                broken_now: broken_now?,
            },
            cloud: dialect?,
            source: ChannelSource {
                host: host?.unwrap_or_else(|| source.host.clone()),
                port: port?.unwrap_or(source.port),
                user,
                secret,
                ca: ca?,
                tls: source.tls.mode != SslMode::Disabled,
            },
        })
    }

    fn classes(&mut self) -> Option<Vec<String>> {
        let words: Vec<String> = self.list("native.broken_now").into_iter().map(|(word, _)| word).collect();
        let unknown = words.iter().find(|word| !Cause::CLASSES.contains(&word.as_str()));
        if let Some(unknown) = unknown {
            let message = format!("`{unknown}` is none of {}", Cause::CLASSES.join(", "));
            self.problem("native.broken_now", message);
            return None;
        }
        Some(words)
    }
}

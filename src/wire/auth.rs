//! Authentication methods: what is answered to the server's challenges. No input or output here.
//!
//! MySQL internals manual, "Authentication Methods"; `sql-common/client_authentication.cc` and
//! `sql-common/client.cc` of the server for what the manual leaves open. The hashes are `mysql_common`'s
//! (`auth/plugins`); its state machines are not used, because they encrypt with the greeting's nonce after a switch.

use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;

use crate::bail;
use crate::error::Result;

use super::rsa::encrypt_password;
use super::secret::Redacted;

/// The length of the challenge of every method that has one.
const NONCE: usize = 20;

/// `caching_sha2_password`: the server knows the password's hash by now.
const FAST_AUTH_SUCCESS: u8 = 3;
/// `caching_sha2_password`: the server wants the password itself.
const FULL_AUTHENTICATION: u8 = 4;
/// Asks for the server's RSA key.
const CACHING_SHA2_KEY_REQUEST: u8 = 2;
const SHA256_KEY_REQUEST: u8 = 1;

/// The method that is named if the server's default is unknown here; the server then switches to the account's.
const FALLBACK: &str = "mysql_native_password";

/// One run of one method.
pub(super) struct Exchange<'a> {
    secret: &'a Redacted,
    /// The connection is encrypted: the password itself may be sent.
    tls: bool,
    nonce: [u8; NONCE],
    awaits: Awaits,
}

/// What the server may still ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    /// Its verdict only.
    Verdict,
    /// `caching_sha2_password`: whether it has the hash. Set with the first answer.
    CacheState,
    /// Its RSA key. Set when the key was asked for.
    Key,
}

/// The name of the method to answer a greeting with.
pub(super) fn known_or_fallback(plugin: &str, tls: bool) -> &str {
    match plugin {
        "mysql_native_password" | "caching_sha2_password" | "sha256_password" => plugin,
        "mysql_clear_password" if tls => plugin,
        _ => FALLBACK,
    }
}

impl<'a> Exchange<'a> {
    /// Starts a method, in the greeting's answer or after a switch; with it comes the first answer.
    pub(super) fn begin(
        plugin: &str,
        challenge: &[u8],
        secret: &'a Redacted,
        tls: bool,
    ) -> Result<(Self, Vec<u8>)> {
        let mut exchange = Self { secret, tls, nonce: [0; NONCE], awaits: Awaits::Verdict };
        let first = match plugin {
            "mysql_native_password" => {
                exchange.take_nonce(challenge)?;
                scramble_native(&exchange.nonce, exchange.password()).map_or(Vec::new(), |hash| hash.to_vec())
            }
            "caching_sha2_password" => {
                exchange.take_nonce(challenge)?;
                exchange.first_caching_sha2()
            }
            "sha256_password" => {
                exchange.take_nonce(challenge)?;
                exchange.first_sha256()
            }
            "mysql_clear_password" => exchange.clear_password()?,
            "mysql_old_password" => bail!(AuthPlugin, "the account uses the insecure mysql_old_password"),
            other => bail!(AuthPlugin, "the account uses {other:?}, which is not available here"),
        };
        Ok((exchange, first))
    }

    /// Answers data that the server sends after the first answer; `None` waits for what it says next.
    pub(super) fn more(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>> {
        match (self.awaits, data) {
            (Awaits::CacheState, [FAST_AUTH_SUCCESS]) => {
                self.awaits = Awaits::Verdict;
                Ok(None)
            }
            (Awaits::CacheState, [FULL_AUTHENTICATION]) if self.tls => {
                self.awaits = Awaits::Verdict;
                self.clear_password().map(Some)
            }
            (Awaits::CacheState, [FULL_AUTHENTICATION]) => {
                self.awaits = Awaits::Key;
                Ok(Some(vec![CACHING_SHA2_KEY_REQUEST]))
            }
            (Awaits::Key, pem) => {
                self.awaits = Awaits::Verdict;
                encrypt_password(self.password(), &self.nonce, pem).map(Some)
            }
            _ => bail!(Protocol, "unexpected authentication data of {} bytes", data.len()),
        }
    }

    fn first_caching_sha2(&mut self) -> Vec<u8> {
        match scramble_sha256(&self.nonce, self.password()) {
            Some(hash) => {
                self.awaits = Awaits::CacheState;
                hash.to_vec()
            }
            None => vec![0],
        }
    }

    fn first_sha256(&mut self) -> Vec<u8> {
        if self.password().is_empty() {
            return vec![0];
        }
        if self.tls {
            return with_nul(self.password());
        }
        self.awaits = Awaits::Key;
        vec![SHA256_KEY_REQUEST]
    }

    /// The password itself, which never crosses a plain connection.
    fn clear_password(&self) -> Result<Vec<u8>> {
        if !self.tls {
            bail!(Tls, "the server asks for the password itself on a connection without TLS");
        }
        Ok(with_nul(self.password()))
    }

    fn take_nonce(&mut self, challenge: &[u8]) -> Result<()> {
        let challenge = match challenge {
            [nonce @ .., 0] if nonce.len() == NONCE => nonce,
            all => all,
        };
        match challenge.try_into() {
            Ok(nonce) => self.nonce = nonce,
            Err(_) => bail!(Protocol, "an authentication challenge of {} bytes", challenge.len()),
        }
        Ok(())
    }

    fn password(&self) -> &'a [u8] {
        self.secret.expose().as_bytes()
    }
}

fn with_nul(password: &[u8]) -> Vec<u8> {
    let mut bytes = password.to_vec();
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn begin<'a>(plugin: &str, secret: &'a Redacted, tls: bool) -> Result<(Exchange<'a>, Vec<u8>)> {
        Exchange::begin(plugin, &[7; NONCE], secret, tls)
    }

    #[test]
    fn a_clear_password_is_only_answered_over_tls() {
        let secret = Redacted::new("pw");
        assert_eq!(begin("mysql_clear_password", &secret, true).unwrap().1, b"pw\0");
        assert_eq!(begin("mysql_clear_password", &secret, false).err().unwrap().code(), Code::Tls);
    }

    #[test]
    fn full_authentication_sends_the_password_over_tls_and_asks_for_a_key_without() {
        let secret = Redacted::new("pw");
        let (mut exchange, first) = begin("caching_sha2_password", &secret, true).unwrap();
        assert_eq!(first.len(), 32);
        assert_eq!(exchange.more(&[FULL_AUTHENTICATION]).unwrap().unwrap(), b"pw\0");
        let (mut exchange, _) = begin("caching_sha2_password", &secret, false).unwrap();
        assert_eq!(exchange.more(&[FULL_AUTHENTICATION]).unwrap().unwrap(), [CACHING_SHA2_KEY_REQUEST]);
        assert_eq!(exchange.more(b"no key").unwrap_err().code(), Code::Protocol);
    }

    #[test]
    fn fast_authentication_needs_no_further_word() {
        let secret = Redacted::new("pw");
        let (mut exchange, _) = begin("caching_sha2_password", &secret, false).unwrap();
        assert_eq!(exchange.more(&[FAST_AUTH_SUCCESS]).unwrap(), None);
        assert_eq!(exchange.more(&[FULL_AUTHENTICATION]).unwrap_err().code(), Code::Protocol);
    }

    #[test]
    fn sha256_sends_the_password_over_tls_and_asks_for_a_key_without() {
        let secret = Redacted::new("pw");
        assert_eq!(begin("sha256_password", &secret, true).unwrap().1, b"pw\0");
        assert_eq!(begin("sha256_password", &secret, false).unwrap().1, [SHA256_KEY_REQUEST]);
    }

    #[test]
    fn an_empty_password_is_never_hashed() {
        let secret = Redacted::default();
        assert_eq!(begin("mysql_native_password", &secret, false).unwrap().1, b"");
        assert_eq!(begin("caching_sha2_password", &secret, false).unwrap().1, [0]);
        assert_eq!(begin("sha256_password", &secret, false).unwrap().1, [0]);
    }

    #[test]
    fn methods_that_are_not_here_are_named() {
        let secret = Redacted::new("pw");
        let error = begin("client_ed25519", &secret, true).err().unwrap();
        assert_eq!(error.code(), Code::AuthPlugin);
        assert!(error.to_string().contains("client_ed25519"));
        assert_eq!(known_or_fallback("auth_gssapi_client", true), FALLBACK);
        assert_eq!(known_or_fallback("mysql_clear_password", false), FALLBACK);
    }

    #[test]
    fn a_challenge_of_the_wrong_length_is_a_protocol_error() {
        let secret = Redacted::new("pw");
        for challenge in [&[0; 0][..], &[1; 8], &[1; 19], &[1; 22]] {
            let error = Exchange::begin("mysql_native_password", challenge, &secret, false).err().unwrap();
            assert_eq!(error.code(), Code::Protocol);
        }
    }
}

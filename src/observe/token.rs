//! Who may change anything: a bearer token, or being on this machine.

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{StatusCode, Uri};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

use crate::wire::Secret;

/// Who may change anything.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// The admin server is to be reached from this machine only.
    pub(super) loopback: bool,
    /// The file that holds the token, read again at each request.
    pub(super) token_file: Option<PathBuf>,
}

/// A refusal: its status code and words.
pub(super) type Refusal = (StatusCode, String);

impl Guard {
    /// Whether a request may change anything.
    pub(super) async fn admits(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(file) = &self.token_file else {
            return if self.loopback { from_here(headers) } else { Err(closed()) };
        };
        let secret = Secret::File(file.clone()).resolve().await;
        let token = secret.map_err(|error| {
            tracing::error!(%error, "admin.token_file cannot be read: no order is taken");
            unusable()
        })?;
        if token.expose().trim().is_empty() {
            return Err(unusable());
        }
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        match given {
            Some(given) if same(given, token.expose().trim()) => is_json(headers),
            Some(_) => {
                Err((StatusCode::UNAUTHORIZED, "this is not the token of admin.token_file\n".to_owned()))
            }
            None => Err((
                StatusCode::UNAUTHORIZED,
                "changing anything here needs the header Authorization: Bearer TOKEN, with the token of \
                 admin.token_file\n"
                    .to_owned(),
            )),
        }
    }
}

/// Who asks may be anybody: where the file lies is for the log.
fn unusable() -> Refusal {
    let text = "the file of admin.token_file cannot be read or is empty\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned())
}

fn closed() -> Refusal {
    let text = "admin.listen is not an address of this machine alone, and admin.token_file is not set: nothing can be \
                changed here\n";
    (StatusCode::FORBIDDEN, text.to_owned())
}

/// A page in a browser on this machine must not change anything. It cannot send JSON elsewhere without asking first,
/// which is refused; and a name that its owner lets point here is not one of ours.
fn from_here(headers: &HeaderMap) -> Result<(), Refusal> {
    let host =
        headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<Uri>().ok());
    let ours = host.as_ref().and_then(Uri::host).is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    if !ours {
        let text = "without admin.token_file, only localhost or its address may be the host of the request\n";
        return Err((StatusCode::FORBIDDEN, text.to_owned()));
    }
    is_json(headers)
}

fn is_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be JSON, and the header say Content-Type: application/json\n".to_owned(),
        ))
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Takes as long for any text as for the right one: digests are compared, and all of them.
fn same(given: &str, token: &str) -> bool {
    let (given, token) = (Sha256::digest(given), Sha256::digest(token));
    given.iter().zip(token.iter()).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given
            .iter()
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn status(guard: &Guard, given: &[(&'static str, &str)]) -> u16 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let admitted = runtime.block_on(guard.admits(&headers(given)));
        admitted.map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn without_a_token_this_machine_may_and_pages_in_its_browser_may_not() {
        let guard = Guard { loopback: true, token_file: None };
        for host in ["127.0.0.1:9306", "localhost:9306", "[::1]:9306", "127.0.0.1"] {
            assert_eq!(status(&guard, &[("host", host), JSON]), 200, "{host}");
        }
        for host in ["evil.example:9306", "10.0.0.1", "127.0.0.1.evil.example", ""] {
            assert_eq!(status(&guard, &[("host", host), JSON]), 403, "{host}");
        }
        assert_eq!(status(&guard, &[("host", "localhost"), ("content-type", "text/plain")]), 415);
        assert_eq!(status(&guard, &[("host", "localhost")]), 415);
        assert_eq!(status(&guard, &[JSON]), 403);
    }

    #[test]
    fn another_address_is_closed_without_a_token_file() {
        let guard = Guard { loopback: false, token_file: None };
        assert_eq!(status(&guard, &[("host", "127.0.0.1"), JSON, ("authorization", "Bearer x")]), 403);
    }

    #[test]
    fn with_a_token_file_everyone_needs_the_token() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "s3cret").unwrap();
        for loopback in [true, false] {
            let guard = Guard { loopback, token_file: Some(file.path().to_owned()) };
            let host = ("host", "bridge.example:9306");
            assert_eq!(status(&guard, &[host, JSON, ("authorization", "Bearer s3cret")]), 200);
            assert_eq!(status(&guard, &[host, JSON, ("authorization", "bearer s3cret")]), 200);
            for wrong in ["Bearer s3cre", "Bearer s3crett", "Bearer", "Basic s3cret", "Bearer "] {
                assert_eq!(status(&guard, &[host, JSON, ("authorization", wrong)]), 401, "{wrong}");
            }
            assert_eq!(status(&guard, &[("host", "localhost"), JSON]), 401);
        }
    }

    #[test]
    fn an_empty_or_missing_token_file_admits_nobody() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path().to_owned(), PathBuf::from("/nonexistent/token")] {
            let guard = Guard { loopback: true, token_file: Some(path) };
            assert_eq!(status(&guard, &[("host", "localhost"), JSON, ("authorization", "Bearer ")]), 500);
        }
    }
}

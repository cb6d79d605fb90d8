//! TLS over a connected socket, with the trust that `ssl_mode` asks for.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bail;
use crate::error::{Code, Error, Result};

use super::certificates::{Authorities, client_identity};
use super::channel::tls_trouble;
use super::endpoint::{Endpoint, SslMode, Tls};
use super::verifier::{Trust, Verifier};

/// Stands in for a host that cannot be a TLS name; never sent and, without `verify-identity`, never compared.
const NO_NAME: &str = "host.invalid";

/// Encrypts the connection. The certificate problem or the alert is in the error.
pub(super) async fn encrypt(endpoint: &Endpoint, socket: TcpStream) -> Result<TlsStream<TcpStream>> {
    let mut config = client_config(&endpoint.tls).await?;
    let name = match ServerName::try_from(endpoint.host.clone()) {
        Ok(name) => name,
        Err(_) if endpoint.tls.mode == SslMode::VerifyIdentity => {
            bail!(Tls, "no certificate can name the host {:?}", endpoint.host)
        }
        Err(_) => {
            config.enable_sni = false;
            ServerName::try_from(NO_NAME)
                .map_err(|_| Error::new(Code::Invariant, "the placeholder is no host name"))?
        }
    };
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, socket);
    connecting.await.map_err(|error| {
        let code = if tls_trouble(&error) { Code::Tls } else { Code::ConnectionLost };
        Error::new(code, format!("TLS with {}:{}: {error}", endpoint.host, endpoint.port))
    })
}

async fn client_config(tls: &Tls) -> Result<ClientConfig> {
    let trust = match tls.mode {
        SslMode::Disabled | SslMode::Preferred | SslMode::Required => Trust::Anyone,
        SslMode::VerifyCa => Trust::Chain(Authorities::load(tls).await?),
        SslMode::VerifyIdentity => Trust::ChainAndName(Authorities::load(tls).await?),
    };
    let provider = ring::default_provider();
    let verifier = Verifier::new(trust, provider.signature_verification_algorithms);
    let unusable = |error: rustls::Error| Error::new(Code::Tls, format!("TLS settings: {error}"));
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client_identity(tls).await? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(unusable)?,
        None => builder.with_no_client_auth(),
    };
    // Each connect reads the files anew and starts from nothing.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// TLS version and cipher suite, as `SHOW STATUS LIKE 'Ssl_%'` has them.
pub(super) fn describe(stream: &TlsStream<TcpStream>) -> String {
    let (_, session) = stream.get_ref();
    let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
    let suite = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown cipher");
    format!("{version} {suite}")
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;

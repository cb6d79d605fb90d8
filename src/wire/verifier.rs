//! Whom a TLS connection trusts, in MySQL's terms.
//!
//! MySQL's client leaves this to OpenSSL, which takes certificates that rustls refuses: a server's own self-signed CA
//! as its certificate, version 1 certificates (those of the manual's `openssl x509` recipe), and a host in the common
//! name. Where trust is asked for (`verify-*`), the chain is webpki's judgement, except for a certificate that the
//! operator named byte by byte.

use std::fmt;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{ASN1Time, FromDer};

use super::certificates::Authorities;

/// What is asked of a server's certificate.
#[derive(Debug)]
pub(super) enum Trust {
    /// Nothing but that the server holds its key (`preferred`, `required`).
    Anyone,
    /// A chain to an authority (`verify-ca`).
    Chain(Authorities),
    /// A chain, and the host's name (`verify-identity`).
    ChainAndName(Authorities),
}

/// A [`Trust`] as rustls wants it.
pub(super) struct Verifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(trust: Trust, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { trust, algorithms }
    }

    fn check_chain(
        &self,
        authorities: &Authorities,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if authorities.pinned.iter().any(|pinned| pinned == end_entity) {
            return check_validity(end_entity, now);
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &authorities.roots,
            intermediates,
            now,
            self.algorithms.all,
        )
    }

    /// The signature under a certificate that webpki cannot read: the same algorithms, on the key as X.509 has it.
    fn check_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let parsed = parse(cert)?;
        let key = &parsed.public_key().subject_public_key.data;
        let candidates = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
        for algorithm in candidates.flat_map(|(_, algorithms)| algorithms.iter()) {
            if algorithm.verify_signature(key, message, signed.signature()).is_ok() {
                return Ok(HandshakeSignatureValid::assertion());
            }
        }
        Err(CertificateError::BadSignature.into())
    }

    /// Webpki's answer, unless it could not even read a certificate of which nothing but its key is asked.
    fn or_by_key(
        &self,
        verdict: Result<HandshakeSignatureValid, Error>,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match verdict {
            Err(Error::InvalidCertificate(_)) if ParsedCertificate::try_from(cert).is_err() => {
                self.check_signature(message, cert, signed)
            }
            verdict => verdict,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Anyone => {}
            Trust::Chain(authorities) => self.check_chain(authorities, end_entity, intermediates, now)?,
            Trust::ChainAndName(authorities) => {
                self.check_chain(authorities, end_entity, intermediates, now)?;
                check_name(end_entity, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = verify_tls12_signature(message, cert, dss, &self.algorithms);
        self.or_by_key(verdict, message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = verify_tls13_signature(message, cert, dss, &self.algorithms);
        self.or_by_key(verdict, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

fn parse<'a>(cert: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(cert) {
        Ok((_, parsed)) => Ok(parsed),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

fn check_validity(cert: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parse(cert)?.validity().clone();
    let now = ASN1Time::from_timestamp(seconds).map_err(|_| Error::FailedToGetCurrentTime)?;
    if now < validity.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// The alternative names decide; only a certificate without any is asked for its common name, as OpenSSL's
/// `X509_check_host` does for MySQL's client.
fn check_name(cert: &CertificateDer<'_>, wanted: &ServerName<'_>) -> Result<(), Error> {
    let parsed = parse(cert)?;
    if matches!(parsed.subject_alternative_name(), Ok(None)) {
        let mut common_names = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        if common_names.any(|name| names(name, wanted)) {
            return Ok(());
        }
        return Err(CertificateError::NotValidForName.into());
    }
    verify_server_name(&ParsedCertificate::try_from(cert)?, wanted)
}

/// Whether a common name, perhaps with `*` as its first label, names the host.
fn names(common_name: &str, wanted: &ServerName<'_>) -> bool {
    let wanted = wanted.to_str();
    if common_name.eq_ignore_ascii_case(&wanted) {
        return true;
    }
    match (common_name.strip_prefix("*."), wanted.split_once('.')) {
        (Some(domain), Some((_, rest))) => domain.contains('.') && domain.eq_ignore_ascii_case(rest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> ServerName<'static> {
        ServerName::try_from(name.to_owned()).unwrap()
    }

    #[test]
    fn a_common_name_matches_one_label_by_wildcard_and_no_more() {
        assert!(names("db.example.com", &host("DB.example.com")));
        assert!(names("*.example.com", &host("db.example.com")));
        assert!(!names("*.example.com", &host("a.db.example.com")));
        assert!(!names("*.com", &host("example.com")));
        assert!(!names("MySQL_Server_9.7.4_Auto_Generated_Server_Certificate", &host("localhost")));
        assert!(names("10.0.0.1", &host("10.0.0.1")));
    }
}

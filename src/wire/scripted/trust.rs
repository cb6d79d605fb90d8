//! Certificates for scripted servers, made anew in each test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// A certificate and its key.
pub(in crate::wire) struct Identity {
    pub(in crate::wire) cert: rcgen::Certificate,
    pub(in crate::wire) key: KeyPair,
}

/// An authority.
pub(in crate::wire) struct Issuer {
    params: CertificateParams,
    own: Identity,
}

impl Issuer {
    pub(in crate::wire) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self { params, own: Identity { cert, key } }
    }

    /// A certificate for `names`; without any, for `common_name`.
    pub(in crate::wire) fn issue(&self, names: &[&str], common_name: &str) -> Identity {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::from_params(&self.params, &self.own.key);
        let cert = params.signed_by(&key, &issuer).unwrap();
        Identity { cert, key }
    }

    /// Writes the authority's certificate to a file to trust.
    pub(in crate::wire) fn write(&self, folder: &Path) -> PathBuf {
        write(folder, "ca.pem", &self.own.cert.pem())
    }

    /// A server that wants a certificate from its clients, of this authority.
    pub(in crate::wire) fn acceptor_for_clients(&self, identity: &Identity) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        acceptor_with(identity, |builder| builder.with_client_cert_verifier(verifier))
    }
}

/// A certificate that is its own authority and marked as one, as a server shows that made it by itself.
pub(in crate::wire) fn self_signed(names: &[&str], years: std::ops::Range<i32>) -> Identity {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    Identity { cert, key }
}

impl Identity {
    /// Writes certificate and key to files.
    pub(in crate::wire) fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let cert = write(folder, "cert.pem", &self.cert.pem());
        (cert, write(folder, "key.pem", &self.key.serialize_pem()))
    }
}

/// A server with this certificate.
pub(in crate::wire) fn acceptor(identity: &Identity) -> TlsAcceptor {
    acceptor_with(identity, Unfinished::<rustls::WantsVerifier>::with_no_client_auth)
}

type Unfinished<T> = rustls::ConfigBuilder<rustls::ServerConfig, T>;

fn acceptor_with(
    identity: &Identity,
    clients: impl FnOnce(Unfinished<rustls::WantsVerifier>) -> Unfinished<rustls::server::WantsServerCert>,
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![identity.cert.der().clone()];
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    TlsAcceptor::from(Arc::new(clients(builder).with_single_cert(chain, key).unwrap()))
}

/// A server whose certificate is of version 1, as the MySQL manual's `openssl x509 -req` makes them.
pub(in crate::wire) fn version_1_acceptor(
    protocol: &'static rustls::SupportedProtocolVersion,
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(VERSION_1_CERTIFICATE.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(VERSION_1_KEY.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    // The plain way would refuse the certificate.
    let shown = AlwaysShown(Arc::new(CertifiedKey::new(chain, key)));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[protocol])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    TlsAcceptor::from(Arc::new(config))
}

#[derive(Debug)]
struct AlwaysShown(Arc<CertifiedKey>);

impl ResolvesServerCert for AlwaysShown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// Names `localhost`, valid from 2020 to 2126, not signed; its key opens nothing else.
pub(in crate::wire) const VERSION_1_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBIzCBywIUIcKBVlYF3yuP2pFQzmqsF6upQXAwCgYIKoZIzj0EAwIwFDESMBAG\n\
A1UEAwwJbG9jYWxob3N0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjYxMDI5MjMxMjEx\n\
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
AASHY42STD5qP3QuKX8HvDLN8dukQ5wazSKo54f8uKGLWqPBOw3cnRouK8bYDqWM\n\
4iJutEvujsfRWQrI8gRny/mAMAoGCCqGSM49BAMCA0cAMEQCIHgnBLFVHmvZ8HI+\n\
trFcrpJKsnuzfA+gYucvkcm0DXYwAiBzuLx0/yVTg6+MnLDl0RTVN1EMr1AsLmjB\n\
KXrQOOiBrg==\n\
-----END CERTIFICATE-----\n";

const VERSION_1_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCHOoJaGrhXKy+djU\n\
F41eiKpvcibNOYX94yAqCvdapzyhRANCAASHY42STD5qP3QuKX8HvDLN8dukQ5wa\n\
zSKo54f8uKGLWqPBOw3cnRouK8bYDqWM4iJutEvujsfRWQrI8gRny/mA\n\
-----END PRIVATE KEY-----\n";

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

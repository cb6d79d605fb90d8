//! PEM files: the authorities to trust and the client's own certificate. Read at each connect, so that a rotation takes
//! effect without a restart.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::bail;
use crate::error::{Code, Error, Result};

use super::endpoint::Tls;

/// What a server's certificate is held against.
#[derive(Debug)]
pub(super) struct Authorities {
    /// Roots for chains.
    pub(super) roots: RootCertStore,
    /// The configured certificates themselves: a server may show one of them as its own.
    pub(super) pinned: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// The configured files, or the system's roots if there are none.
    pub(super) async fn load(tls: &Tls) -> Result<Self> {
        if tls.ca.is_empty() {
            return system_roots().await;
        }
        let mut authorities = Self { roots: RootCertStore::empty(), pinned: Vec::new() };
        for path in &tls.ca {
            for certificate in read_certificates(path).await? {
                // A server's own certificate need not be fit as a root; then it only counts byte by byte.
                let _ = authorities.roots.add(certificate.clone());
                authorities.pinned.push(certificate);
            }
        }
        Ok(authorities)
    }
}

async fn system_roots() -> Result<Authorities> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
        .await
        .map_err(|_| Error::new(Code::Tls, "the system's certificates cannot be read"))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        bail!(Tls, "this system has no trusted certificates: set ssl_ca");
    }
    Ok(Authorities { roots, pinned: Vec::new() })
}

/// The client's chain and key, if both are configured.
pub(super) async fn client_identity(
    tls: &Tls,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
    match (&tls.cert, &tls.key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((read_certificates(cert).await?, read_key(key).await?))),
        _ => bail!(Config, "ssl_cert and ssl_key go together"),
    }
}

async fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path).await?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::new(Code::Tls, format!("{} is not PEM: {error}", path.display())))?;
    if certificates.is_empty() {
        bail!(Tls, "{} holds no certificate in PEM form", path.display());
    }
    Ok(certificates)
}

async fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let pem = read(path).await?;
    // The reader's error could quote the file.
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        Error::new(Code::Tls, format!("{} holds no unencrypted key in PEM form", path.display()))
    })
}

async fn read(path: &Path) -> Result<Vec<u8>> {
    tokio::fs::read(path)
        .await
        .map_err(|error| Error::new(Code::Tls, format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn certificates_of_all_files_are_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let authority = || rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap().cert.pem();
        let (one, two) = (folder.path().join("one.pem"), folder.path().join("two.pem"));
        std::fs::write(&one, authority() + &authority()).unwrap();
        std::fs::write(&two, authority()).unwrap();
        let tls = Tls { ca: vec![one, two], ..Tls::default() };
        let authorities = Authorities::load(&tls).await.unwrap();
        assert_eq!((authorities.roots.len(), authorities.pinned.len()), (3, 3));
    }

    #[tokio::test]
    async fn files_that_hold_nothing_of_use_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for path in [empty.clone(), folder.path().join("missing.pem")] {
            let tls = Tls { ca: vec![path.clone()], ..Tls::default() };
            let error = Authorities::load(&tls).await.unwrap_err();
            assert_eq!(error.code(), Code::Tls);
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
        let half = Tls { cert: Some(empty), ..Tls::default() };
        assert_eq!(client_identity(&half).await.unwrap_err().code(), Code::Config);
    }
}

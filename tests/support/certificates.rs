//! TLS certificates: our own authority, what it has signed, and what it has not.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// What a server shows its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Signed by our authority for `localhost` and 127.0.0.1.
    Signed,
    /// Signed by our authority, for another name: `VERIFY_CA` accepts it, `VERIFY_IDENTITY` must not.
    OtherName,
    /// Its own issuer, for `localhost`; the certificate itself is what a client would trust.
    SelfSigned,
    /// None: the server speaks no TLS.
    None,
}

/// Certificate files, made once per folder.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
}

/// The certificates in `folder`, made when they are not there yet.
pub fn certificates(folder: &Path) -> Certificates {
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let certificates = Certificates { folder: folder.join("certificates") };
    if !certificates.folder.exists() {
        certificates.make().unwrap_or_else(|error| panic!("cannot make certificates: {error}"));
    }
    certificates
}

impl Certificates {
    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// An authority that has signed nothing that is in use.
    pub fn other_ca(&self) -> PathBuf {
        self.folder.join("other-ca.pem")
    }

    /// A client's certificate and key, signed by the authority.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("client.pem"), self.folder.join("client-key.pem"))
    }

    /// A server's certificate and key.
    pub fn server(&self, identity: Identity) -> Option<(PathBuf, PathBuf)> {
        let stem = match identity {
            Identity::Signed => "server",
            Identity::OtherName => "other-name",
            Identity::SelfSigned => "self-signed",
            Identity::None => return None,
        };
        Some((self.folder.join(format!("{stem}.pem")), self.folder.join(format!("{stem}-key.pem"))))
    }

    fn make(&self) -> Result<(), Box<dyn std::error::Error>> {
        fs::create_dir_all(&self.folder)?;
        let authority = authority("binbridge test authority")?;
        fs::write(self.ca(), authority.pem())?;
        fs::write(self.other_ca(), self::authority("binbridge other authority")?.pem())?;

        let local = ["localhost", "127.0.0.1"];
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        self.write("server", &end_entity(&local, server.clone())?, Some(&authority))?;
        self.write("other-name", &end_entity(&["db.example.com"], server.clone())?, Some(&authority))?;
        self.write("self-signed", &end_entity(&local, server)?, None)?;
        self.write("client", &end_entity(&[], ExtendedKeyUsagePurpose::ClientAuth)?, Some(&authority))?;
        Ok(())
    }

    fn write(
        &self,
        stem: &str,
        params: &CertificateParams,
        issuer: Option<&CertifiedIssuer<'_, KeyPair>>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let key = KeyPair::generate()?;
        let certificate = match issuer {
            Some(issuer) => params.signed_by(&key, issuer)?,
            None => params.self_signed(&key)?,
        };
        fs::write(self.folder.join(format!("{stem}.pem")), certificate.pem())?;
        fs::write(self.folder.join(format!("{stem}-key.pem")), key.serialize_pem())?;
        Ok(())
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn end_entity(names: &[&str], usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("binbridge client"));
    params.extended_key_usages = vec![usage];
    Ok(params)
}

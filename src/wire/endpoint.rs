//! Where a server is and how to reach it: what the configuration says, nothing that is open.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::bail;
use crate::error::{Error, Result};

use super::secret::Secret;

/// One server and one account on it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Account name, without the host part.
    pub user: String,
    /// How the account proves itself.
    pub secret: Secret,
    /// Whether and how the connection is encrypted.
    pub tls: Tls,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Shown as `program_name` in `performance_schema.session_connect_attrs`.
    pub program: &'static str,
}

/// Encryption and trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// What is asked of the server.
    pub mode: SslMode,
    /// PEM files, each with one or more certificates to trust; the system's roots if there are none.
    pub ca: Vec<PathBuf>,
    /// The client's certificate chain (PEM), for accounts with `REQUIRE X509`.
    pub cert: Option<PathBuf>,
    /// The key (PEM) that belongs to `cert`.
    pub key: Option<PathBuf>,
}

/// MySQL's `--ssl-mode` (MySQL 8.4 manual, "Command Options for Encrypted Connections").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Plain TCP.
    Disabled,
    /// Encrypted if the server offers it; whoever answers is believed.
    #[default]
    Preferred,
    /// Encrypted or not at all; whoever answers is believed.
    Required,
    /// Encrypted, and the certificate's chain ends in a trusted CA.
    VerifyCa,
    /// As `VerifyCa`, and the certificate names the host.
    VerifyIdentity,
}

impl SslMode {
    /// The configuration's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::VerifyCa => "verify-ca",
            Self::VerifyIdentity => "verify-identity",
        }
    }
}

impl FromStr for SslMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().replace('_', "-").as_str() {
            "disabled" => Ok(Self::Disabled),
            "preferred" => Ok(Self::Preferred),
            "required" => Ok(Self::Required),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-identity" => Ok(Self::VerifyIdentity),
            _ => bail!(
                Config,
                "ssl_mode {text:?} is none of disabled, preferred, required, verify-ca, verify-identity"
            ),
        }
    }
}

/// How long to wait for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the name's resolution to the end of the login.
    pub connect: Duration,
    /// Without a byte received, while an answer is awaited.
    pub read: Duration,
    /// Without a byte taken by the network, while something is to be sent.
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(60),
            write: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssl_modes_are_read_in_the_spelling_of_either_world() {
        for mode in [
            SslMode::Disabled,
            SslMode::Preferred,
            SslMode::Required,
            SslMode::VerifyCa,
            SslMode::VerifyIdentity,
        ] {
            assert_eq!(mode.as_str().parse::<SslMode>().unwrap(), mode);
            let shouted = mode.as_str().to_uppercase().replace('-', "_");
            assert_eq!(shouted.parse::<SslMode>().unwrap(), mode);
        }
        assert!("verify_full".parse::<SslMode>().is_err());
    }
}

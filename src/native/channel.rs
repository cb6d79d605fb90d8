//! The channel as its server shows it, and the source it is pointed at.

use std::path::PathBuf;

use crate::bail;
use crate::error::{Code, Error, Result};
use crate::wire::{Connection, ReplicaStatus, Secret};

/// Where the native channel receives from.
#[derive(Debug, Clone)]
pub struct ChannelSource {
    /// The source's host, as the target sees it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The account.
    pub user: String,
    /// What it proves itself with.
    pub secret: Secret,
    /// The file with the authority's certificate, whose text Azure's procedures take.
    pub ca: Option<PathBuf>,
    /// Whether TLS is asked for where there is no certificate to give.
    pub tls: bool,
}

impl ChannelSource {
    /// The certificate's text; empty if there is none.
    ///
    /// # Errors
    /// `BB1003` if the file cannot be read.
    pub async fn ca_text(&self) -> Result<String> {
        let Some(path) = &self.ca else { return Ok(String::new()) };
        tokio::fs::read_to_string(path).await.map_err(|error| {
            Error::new(
                Code::Secret,
                format!("native.ssl_ca: {} cannot be read: {}", path.display(), error.kind()),
            )
        })
    }
}

/// The server's one channel; none if it is no replica.
///
/// # Errors
/// `BB4013` if it has several; those of the connection.
pub async fn channel(connection: &mut Connection) -> Result<Option<ReplicaStatus>> {
    let rows = connection.query(connection.dialect().replica_status()).await?;
    let mut channels = ReplicaStatus::from_rows(&rows)?;
    // Group replication's own channels are no replication from elsewhere.
    channels.retain(|channel| !channel.channel.starts_with("group_replication_"));
    if channels.len() > 1 {
        bail!(
            NativeChannel,
            "the target has {} replication channels: the bridge lives beside one",
            channels.len()
        );
    }
    Ok(channels.pop())
}

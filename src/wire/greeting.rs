//! The server's greeting and our answer to it (MySQL internals manual, "`Protocol::HandshakeV10`" and
//! "`Protocol::HandshakeResponse41`").

use std::collections::HashMap;

use bytes::Bytes;
use mysql_common::constants::CapabilityFlags;
use mysql_common::packets::{AuthPlugin, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;

use crate::bail;
use crate::error::Result;

use super::cursor::Cursor;

/// The only protocol since MySQL 3.21.
const PROTOCOL_VERSION: u8 = 10;
/// `utf8mb4_general_ci`, which every server from 5.5.3 on and every MariaDB knows.
const UTF8MB4: u8 = 45;
/// What we say we can take; the server's `max_allowed_packet` counts, which has this as its maximum.
const MAX_PACKET: u32 = 1 << 30;

/// What no server since 5.6 and MariaDB 10 is without.
const NEEDED: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_MULTI_STATEMENTS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS);
/// What is used if it is there. Not here on purpose: `CLIENT_LOCAL_FILES`, so that no server may ask for files.
const WELCOME: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF);

/// The first packet of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) version_text: String,
    pub(super) connection_id: u32,
    /// The challenge for `plugin`, without its closing NUL.
    pub(super) nonce: Vec<u8>,
    pub(super) capabilities: CapabilityFlags,
    /// The server's default authentication method.
    pub(super) plugin: String,
}

impl Greeting {
    pub(super) fn parse(packet: Bytes) -> Result<Self> {
        let mut cursor = Cursor::new(packet);
        let protocol = cursor.u8()?;
        if protocol != PROTOCOL_VERSION {
            bail!(Protocol, "greeting has protocol version {protocol}, not {PROTOCOL_VERSION}");
        }
        let version_text = String::from_utf8_lossy(&cursor.until_nul()?).into_owned();
        let connection_id = cursor.u32()?;
        let mut nonce = cursor.bytes(8)?.to_vec();
        cursor.u8()?;
        let low = cursor.u16()?;
        let _charset = cursor.u8()?;
        let _status = cursor.u16()?;
        let high = cursor.u16()?;
        let nonce_len = cursor.u8()?;
        cursor.bytes(10)?;
        let capabilities = CapabilityFlags::from_bits_retain(u32::from(high) << 16 | u32::from(low));
        if !capabilities.contains(NEEDED) {
            bail!(Protocol, "server {version_text:?} is too old: it lacks {:?}", NEEDED - capabilities);
        }
        let second = cursor.bytes(usize::from(nonce_len).saturating_sub(8).max(13))?;
        nonce.extend_from_slice(second.strip_suffix(b"\0").unwrap_or(&second));
        // Some 5.5 servers leave out the NUL at the end (MySQL bug 59453).
        let rest = cursor.rest();
        let plugin = rest.split(|&byte| byte == 0).next().unwrap_or_default();
        let plugin = String::from_utf8_lossy(plugin).into_owned();
        Ok(Self { version_text, connection_id, nonce, capabilities, plugin })
    }

    /// Whether the server can switch to TLS.
    pub(super) fn offers_tls(&self) -> bool {
        self.capabilities.contains(CapabilityFlags::CLIENT_SSL)
    }

    /// What both sides use from now on.
    pub(super) fn agreed(&self, tls: bool) -> CapabilityFlags {
        let ours = NEEDED | WELCOME;
        let ours = if tls { ours | CapabilityFlags::CLIENT_SSL } else { ours };
        self.capabilities & ours
    }
}

/// The request to go on in TLS: the head of the answer, without a name in it.
pub(super) fn tls_request(agreed: CapabilityFlags) -> Vec<u8> {
    let mut packet = Vec::new();
    SslRequest::new(agreed, MAX_PACKET, UTF8MB4).serialize(&mut packet);
    packet
}

/// The answer to the greeting: who we are and the first words of the authentication.
pub(super) fn login_request(
    agreed: CapabilityFlags,
    user: &str,
    program: &str,
    plugin: &str,
    response: &[u8],
) -> Result<Vec<u8>> {
    if user.contains('\0') {
        bail!(Config, "the user name holds a NUL byte");
    }
    if response.len() > 250 && !agreed.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        bail!(AuthPlugin, "the server takes no secret of {} bytes", response.len());
    }
    let attributes =
        agreed.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS).then(|| connect_attributes(program));
    let request = HandshakeResponse::new(
        Some(response),
        // Only chooses utf8mb4 as connection character set, which every server we accept knows.
        (8, 0, 0),
        Some(user.as_bytes()),
        None::<&[u8]>,
        Some(AuthPlugin::from_bytes(plugin.as_bytes())),
        agreed,
        attributes,
        MAX_PACKET,
    );
    let mut packet = Vec::new();
    request.serialize(&mut packet);
    Ok(packet)
}

/// Shown in `performance_schema.session_connect_attrs`.
fn connect_attributes(program: &str) -> HashMap<String, String> {
    [
        ("_client_name", env!("CARGO_PKG_NAME").to_owned()),
        ("_client_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("_os", std::env::consts::OS.to_owned()),
        ("_platform", std::env::consts::ARCH.to_owned()),
        ("_pid", std::process::id().to_string()),
        ("program_name", program.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::wire::scripted;

    #[test]
    fn a_greeting_is_read_as_another_implementation_writes_it() {
        let packet = scripted::greeting("8.0.36", "caching_sha2_password", NEEDED | WELCOME);
        let greeting = Greeting::parse(packet.into()).unwrap();
        assert_eq!(greeting.version_text, "8.0.36");
        assert_eq!(greeting.nonce, scripted::NONCE);
        assert_eq!(greeting.plugin, "caching_sha2_password");
        assert_eq!(greeting.capabilities, NEEDED | WELCOME);
        assert!(!greeting.offers_tls());
    }

    #[test]
    fn a_cut_greeting_is_a_protocol_error_at_every_length() {
        let packet = scripted::greeting("8.0.36", "caching_sha2_password", NEEDED);
        let nonce_end = packet.len() - "caching_sha2_password\0".len();
        for len in 0..nonce_end {
            let error = Greeting::parse(Bytes::copy_from_slice(&packet[..len])).unwrap_err();
            assert_eq!(error.code(), Code::Protocol);
        }
    }

    #[test]
    fn a_server_without_what_we_need_is_refused_by_name() {
        let packet = scripted::greeting("5.0.96", "", CapabilityFlags::CLIENT_PROTOCOL_41);
        let error = Greeting::parse(packet.into()).unwrap_err();
        assert!(error.to_string().contains("5.0.96"), "{error}");
    }

    #[test]
    fn files_are_never_offered() {
        assert!(!(NEEDED | WELCOME).contains(CapabilityFlags::CLIENT_LOCAL_FILES));
    }
}

//! A server that follows a script, for tests: its framing and packets are written down a second time here, so that a
//! mistake is not made on both sides.

mod key;
mod trust;

use std::net::Ipv4Addr;
use std::time::Duration;

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{HandshakePacket, HandshakeResponse};
use mysql_common::proto::{MyDeserialize, MySerialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Connection, Endpoint, Redacted, Secret, Timeouts, Tls};

pub(super) use key::{RSA_PUBLIC_KEY, decrypt_password};
pub(super) use trust::{Issuer, VERSION_1_CERTIFICATE, acceptor, self_signed, version_1_acceptor};

/// The challenge in every greeting.
pub(super) const NONCE: [u8; 20] = *b"12345678abcdefghijkl";
/// The password of every account.
pub(super) const PASSWORD: &str = "hunter2";

/// What a server of 8.0 offers, without TLS.
pub(super) const OFFERED: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_MULTI_STATEMENTS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_LOCAL_FILES)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_SESSION_TRACK)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF);

pub(super) const OK: &[u8] = b"\x00\x00\x00\x02\x00\x00\x00";

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// The server's end of one connection.
pub(super) struct Peer {
    socket: Box<dyn Socket>,
    sequence: u8,
}

/// Runs both ends: the server's script on the connection that the client opens.
pub(super) async fn play<T>(
    server: impl AsyncFnOnce(&mut Peer),
    client: impl AsyncFnOnce(Endpoint) -> T,
) -> T {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap().port());
    let server = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut peer = Peer { socket: Box::new(socket), sequence: 0 };
        server(&mut peer).await;
    };
    let both = async { tokio::join!(server, client(endpoint)) };
    tokio::time::timeout(Duration::from_secs(20), Box::pin(both)).await.unwrap().1
}

/// As [`play`], with the login done and the client's side connected.
pub(super) async fn play_logged_in<T>(
    server: impl AsyncFnOnce(&mut Peer),
    client: impl AsyncFnOnce(Connection) -> T,
) -> T {
    let server = async |peer: &mut Peer| {
        peer.log_in("8.0.36", OFFERED).await;
        server(peer).await;
    };
    play(server, async |endpoint| client(Connection::connect(&endpoint).await.unwrap()).await).await
}

pub(super) fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        host: "127.0.0.1".to_owned(),
        port,
        user: "someone".to_owned(),
        secret: Secret::Text(Redacted::new(PASSWORD)),
        tls: Tls::default(),
        timeouts: Timeouts::default(),
        program: "binbridge test",
    }
}

pub(super) fn greeting(version: &str, plugin: &str, capabilities: CapabilityFlags) -> Vec<u8> {
    let (first, second) = NONCE.split_at(8);
    let mut packet = Vec::new();
    HandshakePacket::new(
        10,
        version.as_bytes(),
        77,
        first.try_into().unwrap(),
        Some([second, b"\0"].concat()),
        capabilities,
        255,
        StatusFlags::SERVER_STATUS_AUTOCOMMIT,
        Some(plugin.as_bytes()),
    )
    .serialize(&mut packet);
    packet
}

/// An ERR packet after the login.
pub(super) fn error(number: u16, message: &str) -> Vec<u8> {
    [b"\xFF", &number.to_le_bytes()[..], b"#HY000", message.as_bytes()].concat()
}

/// An OK packet with a status.
pub(super) fn ok(affected: u8, status: u16) -> Vec<u8> {
    [b"\x00", &[affected, 0][..], &status.to_le_bytes(), b"\0\0"].concat()
}

impl Peer {
    pub(super) async fn receive(&mut self) -> Vec<u8> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; 4];
            self.socket.read_exact(&mut header).await.unwrap();
            let len = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            let start = payload.len();
            payload.resize(start + len, 0);
            self.socket.read_exact(&mut payload[start..]).await.unwrap();
            self.sequence = header[3].wrapping_add(1);
            if len < 0xFF_FFFF {
                return payload;
            }
        }
    }

    /// The next short packet, from a client that may turn away instead.
    pub(super) async fn try_receive(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 4];
        self.socket.read_exact(&mut header).await.ok()?;
        let mut payload = vec![0; usize::from(u16::from_le_bytes([header[0], header[1]]))];
        self.socket.read_exact(&mut payload).await.ok()?;
        self.sequence = header[3].wrapping_add(1);
        Some(payload)
    }

    /// Whether the client has closed, having sent nothing more.
    pub(super) async fn is_closed(&mut self) -> bool {
        matches!(self.socket.read(&mut [0; 64]).await, Ok(0) | Err(_))
    }

    pub(super) async fn send(&mut self, payload: &[u8]) {
        let framed = self.frame(payload);
        self.send_raw(&framed).await;
    }

    pub(super) async fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
        self.socket.flush().await.unwrap();
    }

    pub(super) fn frame(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut framed = Vec::new();
        let mut chunks = payload.chunks(0xFF_FFFF).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            framed.extend_from_slice(&u32::try_from(chunk.len()).unwrap().to_le_bytes()[..3]);
            framed.push(self.sequence);
            framed.extend_from_slice(chunk);
            self.sequence = self.sequence.wrapping_add(1);
            if chunk.len() < 0xFF_FFFF {
                return framed;
            }
        }
    }

    /// Sends what may fail because the client is gone already.
    pub(super) async fn try_send(&mut self, payload: &[u8]) {
        let framed = self.frame(payload);
        let _ = self.socket.write_all(&framed).await;
    }

    /// A login on a plain connection that asks nothing.
    pub(super) async fn log_in(&mut self, version: &str, capabilities: CapabilityFlags) {
        self.send(&greeting(version, "mysql_native_password", capabilities)).await;
        self.receive().await;
        self.send(OK).await;
    }

    /// The client's answer to the greeting: its method and the first answer.
    pub(super) async fn receive_login(&mut self) -> (String, Vec<u8>) {
        let packet = self.receive().await;
        let login = HandshakeResponse::deserialize((), &mut ParseBuf(&packet)).unwrap();
        assert_eq!(login.user(), b"someone");
        assert_eq!(login.connect_attributes().unwrap()["program_name"], "binbridge test");
        let plugin = String::from_utf8(login.auth_plugin().unwrap().as_bytes().to_vec()).unwrap();
        (plugin, login.scramble_buf().to_vec())
    }

    /// Greets with an offer of TLS and goes over to it when asked.
    pub(super) async fn greet_over_tls(&mut self, plugin: &str, acceptor: &tokio_rustls::TlsAcceptor) {
        self.try_greet_over_tls(plugin, acceptor).await.unwrap();
    }

    /// As `greet_over_tls`, with a client that may turn away from our certificate.
    pub(super) async fn try_greet_over_tls(
        &mut self,
        plugin: &str,
        acceptor: &tokio_rustls::TlsAcceptor,
    ) -> std::io::Result<()> {
        self.send(&greeting("8.0.36", plugin, OFFERED | CapabilityFlags::CLIENT_SSL)).await;
        let request = self.receive().await;
        assert_eq!(request.len(), 32, "a TLS request names nobody");
        let plain = std::mem::replace(&mut self.socket, Box::new(tokio::io::empty()));
        self.socket = Box::new(acceptor.accept(plain).await?);
        Ok(())
    }
}

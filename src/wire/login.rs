//! From an endpoint to a connection that is logged in: socket, greeting, TLS, authentication.

use bytes::Bytes;
use mysql_common::constants::CapabilityFlags;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::bail;
use crate::error::{Code, Error, Result};

use super::auth::{Exchange, known_or_fallback};
use super::channel::{Channel, Stream};
use super::classify::refused;
use super::cursor::Cursor;
use super::endpoint::{Endpoint, SslMode};
use super::greeting::{Greeting, login_request, tls_request};
use super::reply::parse_error;
use super::secret::Redacted;
use super::server::Server;
use super::{socket, tls};

/// No packet of a login is longer; what announces more is no MySQL server.
const MAX_LOGIN_PACKET: usize = 64 * 1024;
/// The longest exchange has five packets; a server that goes on is not one.
const MAX_ROUNDS: usize = 16;
/// A joined payload, unless the caller sets another limit: the largest event there is, and its header.
const MAX_PACKET: usize = (1 << 30) + (64 << 10);

const OK: u8 = 0x00;
const MORE_DATA: u8 = 0x01;
const NEXT_FACTOR: u8 = 0x02;
const SWITCH: u8 = 0xFE;
const ERR: u8 = 0xFF;

/// A connection after its login.
pub(super) struct LoggedIn {
    pub(super) channel: Channel,
    pub(super) server: Server,
    pub(super) deprecate_eof: bool,
}

/// Connects and logs in within `timeouts.connect`; a command that makes a token has its own time before.
pub(super) async fn log_in(endpoint: &Endpoint) -> Result<LoggedIn> {
    let secret = endpoint.secret.resolve().await?;
    let deadline = Instant::now() + endpoint.timeouts.connect;
    let socket = socket::open(endpoint, deadline).await?;
    // Boxed: TLS makes it a large future, and there is one per connection.
    match timeout_at(deadline, Box::pin(shake_hands(endpoint, &secret, socket))).await {
        Ok(outcome) => outcome.map_err(|error| error.context(place(endpoint))),
        Err(_) => bail!(
            Connect,
            "{} takes connections, but no login came about within {} ms",
            place(endpoint),
            endpoint.timeouts.connect.as_millis()
        ),
    }
}

fn place(endpoint: &Endpoint) -> String {
    format!("server {}:{}", endpoint.host, endpoint.port)
}

async fn shake_hands(endpoint: &Endpoint, secret: &Redacted, socket: TcpStream) -> Result<LoggedIn> {
    let mut steps = Steps {
        channel: Channel::new(Stream::Plain(socket), endpoint.timeouts.write, MAX_LOGIN_PACKET),
        sequence: 0,
    };
    let greeting = steps.receive_greeting().await?;
    let mut server = Server::new(&greeting.version_text, greeting.connection_id);
    let encrypted = wants_tls(endpoint, &greeting)?;
    let agreed = greeting.agreed(encrypted);
    if encrypted {
        steps = steps.encrypt(endpoint, agreed, &mut server).await?;
    }
    steps.authenticate(endpoint, secret, &greeting, agreed).await?;
    let mut channel = steps.channel;
    channel.establish(Some(endpoint.timeouts.read), MAX_PACKET);
    let deprecate_eof = agreed.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF);
    Ok(LoggedIn { channel, server, deprecate_eof })
}

fn wants_tls(endpoint: &Endpoint, greeting: &Greeting) -> Result<bool> {
    let mode = endpoint.tls.mode;
    let encrypted = mode != SslMode::Disabled && greeting.offers_tls();
    if !encrypted && !matches!(mode, SslMode::Disabled | SslMode::Preferred) {
        bail!(Tls, "ssl_mode is {}, but the server offers no TLS", mode.as_str());
    }
    if !encrypted && endpoint.secret.is_token() {
        bail!(Tls, "a token is sent over TLS only, and this connection has none");
    }
    Ok(encrypted)
}

/// The packets of a login, numbered through from the greeting to the verdict.
struct Steps {
    channel: Channel,
    /// The number that the next packet must have, whoever sends it.
    sequence: u8,
}

impl Steps {
    async fn receive(&mut self) -> Result<Bytes> {
        let (sequence, packet) = self.channel.packet().await?;
        // A server that has an error to tell does not always count (MySQL sends ER_CON_COUNT_ERROR as packet 0 or 1).
        if sequence != self.sequence && packet.first() != Some(&ERR) {
            bail!(Protocol, "packet {sequence} arrived where {} was due", self.sequence);
        }
        if packet.is_empty() {
            bail!(Protocol, "empty packet during login");
        }
        self.sequence = sequence.wrapping_add(1);
        Ok(packet)
    }

    async fn send(&mut self, packet: &[u8]) -> Result<()> {
        self.sequence = self.channel.send(&[packet], self.sequence).await?;
        Ok(())
    }

    async fn receive_greeting(&mut self) -> Result<Greeting> {
        let packet = self.receive().await.map_err(|error| error.context("awaiting the server's greeting"))?;
        if packet.first() == Some(&ERR) {
            return Err(refused(parse_error(packet)?));
        }
        Greeting::parse(packet)
    }

    async fn encrypt(
        mut self,
        endpoint: &Endpoint,
        agreed: CapabilityFlags,
        server: &mut Server,
    ) -> Result<Self> {
        self.send(&tls_request(agreed)).await?;
        let stream = tls::encrypt(endpoint, self.channel.into_plain()?).await?;
        server.tls = Some(tls::describe(&stream));
        let stream = Stream::Tls(Box::new(stream));
        let channel = Channel::new(stream, endpoint.timeouts.write, MAX_LOGIN_PACKET);
        Ok(Self { channel, sequence: self.sequence })
    }

    async fn authenticate(
        &mut self,
        endpoint: &Endpoint,
        secret: &Redacted,
        greeting: &Greeting,
        agreed: CapabilityFlags,
    ) -> Result<()> {
        let encrypted = agreed.contains(CapabilityFlags::CLIENT_SSL);
        let plugin = known_or_fallback(&greeting.plugin, encrypted);
        let (mut exchange, first) = Exchange::begin(plugin, &greeting.nonce, secret, encrypted)?;
        self.send(&login_request(agreed, &endpoint.user, endpoint.program, plugin, &first)?).await?;
        for _ in 0..MAX_ROUNDS {
            let packet = self.receive().await?;
            match packet[0] {
                OK => return Ok(()),
                ERR => return Err(refused(parse_error(packet)?)),
                SWITCH => {
                    let (plugin, challenge) = switch_request(packet)?;
                    let first;
                    (exchange, first) = Exchange::begin(&plugin, &challenge, secret, encrypted)?;
                    self.send(&first).await?;
                }
                MORE_DATA => {
                    if let Some(answer) = exchange.more(&packet[1..])? {
                        self.send(&answer).await?;
                    }
                }
                NEXT_FACTOR => bail!(AuthPlugin, "the account needs a second authentication factor"),
                other => bail!(Protocol, "packet of kind {other:#04x} during login"),
            }
        }
        Err(Error::new(Code::Protocol, format!("no verdict after {MAX_ROUNDS} packets of authentication")))
    }
}

/// MySQL internals manual, "`Protocol::AuthSwitchRequest`": the name of the account's method and a challenge of its own.
/// A packet of one byte is the switch to the method of MySQL 4.0.
fn switch_request(packet: Bytes) -> Result<(String, Bytes)> {
    let mut cursor = Cursor::new(packet);
    cursor.u8()?;
    if cursor.is_empty() {
        return Ok(("mysql_old_password".to_owned(), Bytes::new()));
    }
    let plugin = String::from_utf8_lossy(&cursor.until_nul()?).into_owned();
    Ok((plugin, cursor.rest()))
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;

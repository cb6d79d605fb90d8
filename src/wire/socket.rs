//! A TCP connection: name resolution, every address in turn, and the options that make a dead peer known.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::bail;
use crate::error::{Code, Error, Result};

use super::endpoint::Endpoint;

/// Silence after which the kernel asks whether the peer still lives, how often it asks again, and how many times.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// Sent bytes that nobody acknowledges for so long end the connection; at least what keepalive allows.
const USER_TIMEOUT_AT_LEAST: Duration = Duration::from_secs(60);

/// Connects to the first address that answers before the deadline.
pub(super) async fn open(endpoint: &Endpoint, deadline: Instant) -> Result<TcpStream> {
    let addresses = resolve(endpoint, deadline).await?;
    let mut last = None;
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        // One address that swallows packets must not use up the time of the others.
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                set_options(&stream, endpoint.timeouts.write).map_err(|error| {
                    Error::new(Code::Connect, format!("socket options for {address}: {error}"))
                })?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(format!("{address}: {error}")),
            Err(_) => last = Some(format!("{address}: no answer")),
        }
    }
    let why = last.unwrap_or_else(|| "the name has no address".to_owned());
    bail!(Connect, "cannot connect to {}:{}: {why}", endpoint.host, endpoint.port)
}

async fn resolve(endpoint: &Endpoint, deadline: Instant) -> Result<Vec<SocketAddr>> {
    let host = endpoint.host.as_str();
    match timeout_at(deadline, lookup_host((host, endpoint.port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => bail!(UnknownHost, "cannot resolve {host}: {error}"),
        Err(_) => bail!(UnknownHost, "cannot resolve {host}: the name server does not answer"),
    }
}

fn set_options(stream: &TcpStream, write_timeout: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(target_os = "openbsd"))]
    let keepalive = keepalive.with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(write_timeout.max(USER_TIMEOUT_AT_LEAST)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::wire::{Secret, Timeouts, Tls};

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint {
            host: host.to_owned(),
            port,
            user: String::new(),
            secret: Secret::None,
            tls: Tls::default(),
            timeouts: Timeouts::default(),
            program: "test",
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn a_connection_sends_at_once_and_notices_a_dead_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = endpoint("127.0.0.1", listener.local_addr().unwrap().port());
        let stream = open(&endpoint, soon()).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT_AT_LEAST));
    }

    #[tokio::test]
    async fn an_unknown_name_and_a_closed_port_are_told_apart() {
        let unknown = open(&endpoint("no-such-host.invalid", 3306), soon()).await.unwrap_err();
        assert_eq!(unknown.code(), Code::UnknownHost);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let closed = open(&endpoint("127.0.0.1", port), soon()).await.unwrap_err();
        assert_eq!(closed.code(), Code::Connect);
    }
}

//! Whole packets over a socket, plain or encrypted, with time limits.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

use crate::bail;
use crate::error::{Code, Error, Result};

use super::frame::{Chunk, Head, Inbox, Pieces, Room};

/// Up to here a packet is put together and written at once; above, its parts are written from where they are.
const COPY_UP_TO: usize = 64 * 1024;

/// A socket before and after TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection's packets, both ways.
#[derive(Debug)]
pub(super) struct Channel {
    stream: Stream,
    inbox: Inbox,
    scratch: Vec<u8>,
    read_timeout: Option<Duration>,
    write_timeout: Duration,
    /// How long the bytes now awaited have been awaited, over all calls that were given up.
    waited: Duration,
    /// The connection ended, or a packet was not understood: what follows has no meaning.
    broken: bool,
    /// A send failed or was given up half way. What the server said before is still worth reading: answers to earlier
    /// packets, and its reason for closing (1153, packet too large).
    mute: bool,
    /// Until then trouble with TLS is a matter of configuration, afterwards of the network.
    established: bool,
}

impl Channel {
    pub(super) fn new(stream: Stream, write_timeout: Duration, max_packet: usize) -> Self {
        Self {
            stream,
            inbox: Inbox::new(max_packet),
            scratch: Vec::new(),
            read_timeout: None,
            write_timeout,
            waited: Duration::ZERO,
            broken: false,
            mute: false,
            established: false,
        }
    }

    /// The bare socket, for TLS to take over. Bytes that came before TLS did are an attempt to smuggle them in.
    pub(super) fn into_plain(self) -> Result<TcpStream> {
        match self.stream {
            Stream::Plain(socket) if self.inbox.is_empty() => Ok(socket),
            _ => bail!(Protocol, "server sent more than its greeting before TLS"),
        }
    }

    /// The login is complete.
    pub(super) fn establish(&mut self, read_timeout: Option<Duration>, max_packet: usize) {
        self.established = true;
        self.read_timeout = read_timeout;
        self.inbox.set_max_packet(max_packet);
    }

    pub(super) fn set_read_timeout(&mut self, limit: Option<Duration>) {
        self.read_timeout = limit;
    }

    pub(super) fn set_max_packet(&mut self, bytes: usize) {
        self.inbox.set_max_packet(bytes);
    }

    /// Whether both ways are open.
    pub(super) fn is_usable(&self) -> bool {
        !self.broken && !self.mute
    }

    /// Nothing that follows on this connection can be understood.
    pub(super) fn set_broken(&mut self) {
        self.broken = true;
    }

    /// The next whole payload, and the sequence number of its last piece. Safe to be given up and called again.
    pub(super) async fn packet(&mut self) -> Result<(u8, Bytes)> {
        if self.broken {
            bail!(ConnectionLost, "the connection is of no further use");
        }
        loop {
            match self.inbox.next() {
                Ok(Some(packet)) => return Ok(packet),
                Ok(None) => self.fill().await?,
                Err(error) => {
                    self.broken = true;
                    return Err(error);
                }
            }
        }
    }

    /// Of a payload longer than `limit`: its first `count` bytes, without taking them. `None` if it is not that long.
    /// Safe to be given up and called again.
    pub(super) async fn long_head(&mut self, limit: usize, count: usize) -> Result<Option<Bytes>> {
        loop {
            if self.broken {
                return Ok(None);
            }
            match self.inbox.long_head(limit, count) {
                Ok(Head::Long(head)) => return Ok(Some(head)),
                Ok(Head::Short) => return Ok(None),
                Ok(Head::Unknown) => self.fill().await?,
                Err(error) => {
                    self.broken = true;
                    return Err(error);
                }
            }
        }
    }

    /// Hands the payload that comes next out in chunks.
    pub(super) fn enter_chunks(&mut self) {
        self.inbox.enter_chunks();
    }

    /// The next part of the payload. Safe to be given up and called again.
    pub(super) async fn chunk(&mut self) -> Result<Chunk> {
        if self.broken {
            bail!(ConnectionLost, "the connection is of no further use");
        }
        loop {
            match self.inbox.chunk() {
                Ok(Some(chunk)) => return Ok(chunk),
                Ok(None) => self.fill().await?,
                Err(error) => {
                    self.broken = true;
                    return Err(error);
                }
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        let left = self.read_timeout.map(|limit| limit.saturating_sub(self.waited));
        let waiting = Waiting { waited: &mut self.waited, since: Instant::now() };
        let read = async {
            match self.inbox.room() {
                Room::Buffer(mut room) => self.stream.read_buf(&mut room).await,
                Room::Joined(mut room) => self.stream.read_buf(&mut room).await,
            }
        };
        // Bytes that are there win over a time that is up.
        let outcome = match left {
            Some(left) => timeout(left, read).await,
            None => Ok(read.await),
        };
        drop(waiting);
        self.waited = Duration::ZERO;
        match outcome {
            Ok(Ok(0)) => {
                self.broken = true;
                bail!(ConnectionLost, "server closed the connection")
            }
            Ok(Ok(count)) => {
                self.inbox.received(count);
                Ok(())
            }
            Ok(Err(error)) => {
                self.broken = true;
                Err(self.lost("receiving", &error))
            }
            Err(_) => {
                let limit = self.read_timeout.unwrap_or_default();
                bail!(ConnectionLost, "server sent nothing for {} ms", limit.as_millis())
            }
        }
    }

    /// Sends one payload, `parts` one after the other; says which sequence number is next. If the returned future is
    /// dropped before it is done, nothing more can be sent.
    pub(super) async fn send(&mut self, parts: &[&[u8]], sequence: u8) -> Result<u8> {
        if !self.is_usable() {
            bail!(ConnectionLost, "nothing more can be sent on this connection");
        }
        self.mute = true;
        let pieces = Pieces::cut(parts, sequence);
        let total: usize = pieces.slices().map(<[u8]>::len).sum();
        let outcome = if total <= COPY_UP_TO {
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.clear();
            pieces.slices().for_each(|slice| scratch.extend_from_slice(slice));
            let outcome = self.write(&mut [IoSlice::new(&scratch)]).await;
            self.scratch = scratch;
            outcome
        } else {
            let mut slices: Vec<_> = pieces.slices().map(IoSlice::new).collect();
            self.write(&mut slices).await
        };
        outcome.map_err(|error| self.lost("sending", &error))?;
        self.mute = false;
        self.waited = Duration::ZERO;
        Ok(pieces.next_sequence)
    }

    async fn write(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        // Empty slices at the front would make a write of nothing look like a closed connection.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let count = timeout(self.write_timeout, self.stream.write_vectored(slices)).await??;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut slices, count);
        }
        timeout(self.write_timeout, self.stream.flush()).await?
    }

    /// Closes the sending side; the server may be gone already.
    pub(super) async fn shutdown(&mut self) {
        self.mute = true;
        let _ = timeout(self.write_timeout, self.stream.shutdown()).await;
    }

    fn lost(&self, doing: &str, error: &io::Error) -> Error {
        let code = if tls_trouble(error) && !self.established { Code::Tls } else { Code::ConnectionLost };
        match error.kind() {
            io::ErrorKind::TimedOut if doing == "sending" => {
                Error::new(code, format!("server took nothing for {} ms", self.write_timeout.as_millis()))
            }
            // TLS calls it so if the server does not take leave, and no server does.
            io::ErrorKind::UnexpectedEof => Error::new(code, "server closed the connection"),
            _ => Error::new(code, format!("connection lost while {doing}: {error}")),
        }
    }
}

/// Whether an error comes from TLS itself (a certificate, an alert) and not from the socket below it. Bytes that changed
/// on the way, so that they cannot be decrypted, are the network's doing.
pub(super) fn tls_trouble(error: &io::Error) -> bool {
    let of_tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    of_tls.is_some_and(|error| !matches!(error, rustls::Error::DecryptError))
}

/// Adds the time it lives to the time waited, also when the wait is given up.
struct Waiting<'a> {
    waited: &'a mut Duration,
    since: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *self.waited += self.since.elapsed();
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

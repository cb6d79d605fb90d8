//! A connection that is logged in: statements and their answers, commands, packets.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::bail;
use crate::error::Result;

use super::channel::Channel;
use super::classify::refused;
use super::dialect::Dialect;
use super::endpoint::Endpoint;
use super::frame::{Chunk, FULL_PIECE};
use super::login::{LoggedIn, log_in};
use super::reply::{Answer, Done, MORE_RESULTS, Reply};
use super::rows::Rows;
use super::server::Server;

/// How long a server that has closed is listened to for its reason.
const LAST_WORDS: Duration = Duration::from_secs(1);

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_PING: u8 = 0x0E;

/// One connection to a MySQL server.
///
/// Two ways of use, which do not mix while an answer is outstanding: [`query`](Self::query) and
/// [`execute`](Self::execute) wait for the answer of one statement; [`send_query`](Self::send_query) and
/// [`read_reply`](Self::read_reply) leave it to the caller to know how many answers are under way.
#[derive(Debug)]
pub struct Connection {
    channel: Channel,
    server: Server,
    deprecate_eof: bool,
    answer: Answer,
    /// A query was begun and its answer not read to the end. Set by `ask`, cleared when it has all of it.
    unanswered: bool,
    /// The number of the next packet of a stream: a server counts on through all of a dump.
    due: u8,
}

impl Connection {
    /// Connects, encrypts and logs in as the endpoint says, within `timeouts.connect`. Secrets, tokens and certificates
    /// are read anew. Errors: `UnknownHost`, `Connect`, `ConnectionLost`, `Tls`, `Secret`, `AuthPlugin`, `Protocol` (no MySQL
    /// server), and what the server refuses (`AccessDenied`, `ServerBusy`, ...).
    pub async fn connect(endpoint: &Endpoint) -> Result<Self> {
        let LoggedIn { channel, server, deprecate_eof } = log_in(endpoint).await?;
        Ok(Self { channel, server, deprecate_eof, answer: Answer::default(), unanswered: false, due: 1 })
    }

    /// Which server answered, and how the connection is encrypted.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The words for this server.
    pub fn dialect(&self) -> Dialect {
        Dialect::of(&self.server)
    }

    /// How long an answer or the next event may fail to show any byte; `None` waits forever. Heartbeats set the measure
    /// for a dump stream, the longest statement for others. Time between calls does not count.
    pub fn set_read_timeout(&mut self, limit: Option<Duration>) {
        self.channel.set_read_timeout(limit);
    }

    /// The longest payload that is accepted, pieces joined.
    pub fn set_max_packet(&mut self, bytes: usize) {
        self.channel.set_max_packet(bytes);
    }

    /// Runs one statement and reads its result set, at most 64 MiB of it (else `TooLarge`); empty for a statement
    /// without one. A procedure's further results are read and dropped. What the server refuses is an error here.
    pub async fn query(&mut self, sql: &str) -> Result<Rows> {
        match self.ask(sql).await? {
            Reply::Rows(rows) => Ok(rows),
            Reply::Done(_) => Ok(Rows::default()),
            Reply::Failed(server) => Err(refused(server)),
        }
    }

    /// Runs statements that each return one result set, in one round trip.
    ///
    /// # Errors
    /// The first refusal; those of the connection.
    pub async fn query_each(&mut self, statements: &[String]) -> Result<Vec<Rows>> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        self.begin()?;
        self.send_query(&[statements.join(";").as_bytes()]).await?;
        let mut all = Vec::with_capacity(statements.len());
        let mut refusal = None;
        while refusal.is_none() && all.len() < statements.len() {
            match self.read_reply().await? {
                Reply::Rows(rows) => all.push(rows),
                Reply::Done(_) => all.push(Rows::default()),
                Reply::Failed(server) => refusal = Some(refused(server)),
            }
        }
        self.unanswered = false;
        refusal.map_or(Ok(all), Err)
    }

    /// Runs one statement that returns no rows (or whose rows do not matter).
    pub async fn execute(&mut self, sql: &str) -> Result<Done> {
        match self.ask(sql).await? {
            Reply::Done(done) => Ok(done),
            Reply::Rows(_) => Ok(Done::default()),
            Reply::Failed(server) => Err(refused(server)),
        }
    }

    /// Asks whether the server still answers.
    pub async fn ping(&mut self) -> Result<()> {
        self.begin()?;
        self.send_command(COM_PING, &[]).await?;
        let reply = self.read_reply().await?;
        self.unanswered = false;
        match reply {
            Reply::Failed(server) => Err(refused(server)),
            Reply::Done(_) | Reply::Rows(_) => Ok(()),
        }
    }

    /// Takes leave of the server; it may be gone already, which is no error.
    pub async fn close(mut self) {
        if self.channel.send(&[&[COM_QUIT]], 0).await.is_ok() {
            self.channel.shutdown().await;
        }
    }

    /// Sends one text of statements, `parts` one after the other, and does not wait for the answers. Long parts are
    /// written from where they are. After a send that failed or was given up nothing more can be sent, but what the server
    /// said can still be read: the answers to earlier texts, and an error in place of an answer to this one if the server
    /// had a reason to close (1153: the text exceeds `max_allowed_packet`).
    pub async fn send_query(&mut self, parts: &[&[u8]]) -> Result<()> {
        let mut payload: Vec<&[u8]> = Vec::with_capacity(parts.len() + 1);
        payload.push(&[COM_QUERY]);
        payload.extend_from_slice(parts);
        self.channel.send(&payload, 0).await?;
        Ok(())
    }

    /// The answer to the next statement under way, whether or not the server says that more follow: the flag
    /// `SERVER_MORE_RESULTS_EXISTS` is not set in the answer to a `BINLOG` statement (seen on 9.7), so the caller counts.
    /// May be given up and called again. After [`Reply::Failed`] the rest of the same text is not answered.
    pub async fn read_reply(&mut self) -> Result<Reply> {
        Ok(self.read_answer().await?.0)
    }

    /// Sends a command that is no query.
    pub async fn send_command(&mut self, command: u8, payload: &[u8]) -> Result<()> {
        self.due = self.channel.send(&[&[command], payload], 0).await?;
        Ok(())
    }

    /// The next whole payload of the answer to a command, its pieces joined; without a copy if it came in one. A payload
    /// that is kept keeps the block of up to 256 KiB that it came in: copy what is to live long. May be given up and
    /// called again. Error `Protocol` if a packet is missing before it.
    pub async fn read_packet(&mut self) -> Result<Bytes> {
        let (last, payload) = self.channel.packet().await?;
        let further_pieces = payload.len() / FULL_PIECE;
        let first = last.wrapping_sub(further_pieces.to_le_bytes()[0]);
        if first != self.due {
            self.channel.set_broken();
            bail!(Protocol, "packet {first} arrived where {} was due", self.due);
        }
        self.due = last.wrapping_add(1);
        Ok(payload)
    }

    /// Of the next payload, if it is longer than `limit`: its first `count` bytes, which stay where they are. `None` if it
    /// is not that long, or if that shows only when it is read. May be given up and called again.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn long_head(&mut self, limit: usize, count: usize) -> Result<Option<Bytes>> {
        self.channel.long_head(limit, count).await
    }

    /// From now on the next payload comes in parts, by [`read_chunk`](Self::read_chunk).
    pub fn read_in_chunks(&mut self) {
        self.channel.enter_chunks();
    }

    /// The next part of a payload that is read in parts; `None` at its end. May be given up and called again.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn read_chunk(&mut self) -> Result<Option<Bytes>> {
        match self.channel.chunk().await? {
            Chunk::Bytes(bytes) => Ok(Some(bytes)),
            Chunk::End(last) => {
                self.due = last.wrapping_add(1);
                Ok(None)
            }
        }
    }

    /// One statement and all of its results; the first is the answer, unless a later one failed.
    async fn ask(&mut self, sql: &str) -> Result<Reply> {
        self.begin()?;
        if let Err(error) = self.send_query(&[sql.as_bytes()]).await {
            return match timeout(LAST_WORDS, self.read_reply()).await {
                Ok(Ok(reply @ Reply::Failed(_))) => Ok(reply),
                _ => Err(error),
            };
        }
        let (mut first, mut status) = self.read_answer().await?;
        while status & MORE_RESULTS != 0 {
            let (next, next_status) = self.read_answer().await?;
            status = next_status;
            if matches!(next, Reply::Failed(_)) {
                first = next;
            }
        }
        self.unanswered = false;
        Ok(first)
    }

    fn begin(&mut self) -> Result<()> {
        if self.unanswered {
            self.channel.set_broken();
            bail!(ConnectionLost, "an earlier statement's answer was not read to its end");
        }
        self.unanswered = true;
        Ok(())
    }

    async fn read_answer(&mut self) -> Result<(Reply, u16)> {
        loop {
            let (_, packet) = self.channel.packet().await?;
            match self.answer.feed(packet, self.deprecate_eof) {
                Ok(None) => {}
                Ok(Some(answer)) => return Ok(answer),
                Err(error) => {
                    self.channel.set_broken();
                    return Err(error);
                }
            }
        }
    }

    /// Whether the connection can still be used: nothing was cut off or misunderstood on it.
    pub fn is_usable(&self) -> bool {
        self.channel.is_usable()
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;

//! A connection to the target that applies.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::bail;
use crate::error::{Code, Error, Result};
use crate::transaction::Format;
use crate::wire::{Connection, Endpoint, Reply};

use super::{Encoder, Packet};

/// A connection to the target, set up to apply: autocommit off, `READ COMMITTED`, a replica's leniency.
pub struct Session {
    /// The connection itself.
    pub connection: Connection,
    /// Turns changes into statements for this session.
    pub encoder: Encoder,
    format: Option<Arc<Format>>,
    /// The target's `max_allowed_packet`, in bytes.
    pub max_packet: usize,
    /// The shortest time a question took.
    pub round_trip: Duration,
}

/// The longest row that is asked of the target: a stored program's definition, or a set of GTIDs.
const LONGEST_ANSWER: usize = 4 << 20;

impl Session {
    /// Connects and sets the session up.
    ///
    /// # Errors
    /// Connection and login errors; `BB3002` naming the privilege that is missing.
    pub async fn open(endpoint: &Endpoint) -> Result<Self> {
        let mut connection = Connection::connect(endpoint).await?;
        let replica_mode = connection.dialect().pseudo_replica_mode();
        let settings = format!(
            "SET autocommit = 0, transaction_isolation = 'READ-COMMITTED', sql_mode = '', time_zone = '+00:00', \
             innodb_lock_wait_timeout = 20, lock_wait_timeout = 60, net_read_timeout = 600, net_write_timeout = 600, \
             wait_timeout = 86400, {replica_mode} = 1"
        );
        let skip_errors = connection.dialect().replica_skip_errors();
        let facts = format!("SELECT @@max_allowed_packet, @@global.{skip_errors}");
        let asked = Instant::now();
        // In one round trip.
        let answers = connection
            .query_each(&[settings, facts])
            .await
            .map_err(|error| needs(error, "REPLICATION_APPLIER or SESSION_VARIABLES_ADMIN"))?;
        let round_trip = asked.elapsed();
        let fact = |index: usize| answers.last()?.rows.first()?.text(index);
        let max_packet = fact(0).and_then(|text| text.parse().ok()).unwrap_or(1 << 20);
        // Seen on 9.7: it counts for `BINLOG`, too, so that a row that is not there would be passed over.
        if let Some(skipped) = fact(1).filter(|skipped| !skipped.is_empty() && *skipped != "OFF") {
            bail!(
                TargetSettings,
                "the target passes over errors in row events ({skip_errors} = {skipped}): rows would be lost without a word; \
                 it must be OFF"
            );
        }
        // An answer may take as long as the batch takes: dead peers are found by TCP keepalive, not by a timer. So what is
        // no answer must not be waited for.
        connection.set_read_timeout(None);
        connection.set_max_packet(LONGEST_ANSWER);
        Ok(Self { connection, encoder: Encoder::default(), format: None, max_packet, round_trip })
    }

    /// Sends a packet without waiting for its answers.
    ///
    /// # Errors
    /// `BB3205` if it is larger than the target takes.
    pub async fn send(&mut self, packet: &Packet) -> Result<()> {
        // The command byte counts too.
        if packet.sql.len() + 1 > self.max_packet {
            return Err(self.too_large(packet.sql.len()));
        }
        self.connection.send_query(&[&packet.sql]).await
    }

    /// What cannot be cut any smaller is larger than the target takes.
    pub(super) fn too_large(&self, bytes: usize) -> Error {
        Error::new(
            Code::TooLarge,
            format!(
                "a packet of {bytes} bytes for the target, whose max_allowed_packet is {}: a row needs a third more than its size in the binlog",
                self.max_packet
            ),
        )
    }

    /// Whether row events of this format can be sent as they are.
    pub fn knows(&self, format: &Arc<Format>) -> bool {
        let same = |known: &Arc<Format>| Arc::ptr_eq(known, format) || **known == **format;
        format.0.is_empty() || self.format.as_ref().is_some_and(same)
    }

    /// The packet that shows the session a format it has not seen. No guard stands before it, so nothing may be in
    /// flight when it is sent: it would run although the packet before it failed.
    pub fn prelude(&mut self, format: &Arc<Format>) -> Option<Packet> {
        if self.knows(format) {
            return None;
        }
        self.format = Some(Arc::clone(format));
        let mut packet = Packet::default();
        Encoder::format(format, &mut packet);
        Some(packet)
    }

    /// Ends what is open and forgets what the session's variables were.
    pub async fn roll_back(&mut self) -> Result<()> {
        self.encoder.context.forget();
        self.format = None;
        self.connection.execute("ROLLBACK").await?;
        Ok(())
    }

    /// The next answer, as a result.
    pub async fn reply(&mut self) -> Result<Reply> {
        self.connection.read_reply().await
    }

    /// Runs statements that need no answer but success, one after the other.
    pub async fn run(&mut self, statements: &[String]) -> Result<()> {
        for statement in statements {
            self.connection.execute(statement).await?;
        }
        Ok(())
    }
}

/// Names the privilege that a refused statement needs.
pub(super) fn needs(error: Error, privilege: &str) -> Error {
    if error.code() == Code::Privilege {
        error.context(format!("the target account needs {privilege}"))
    } else {
        error
    }
}

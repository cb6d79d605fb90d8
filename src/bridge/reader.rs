//! The reader: streams from the source, assembles, and hands on within the memory bound. Reconnects by itself.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, TryAcquireError, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::apply::{Delivery, Share};
use crate::bail;
use crate::binlog::{Body, kind};
use crate::clock::Sampler;
use crate::control::Orders;
use crate::error::{Code, Error, Result};
use crate::observe::snapshot::Queue;
use crate::observe::{End, Observer, Stage};
use crate::position::{Coordinates, GtidSet, Start, check_against_logs};
use crate::source::{Dialed, Located, Registration, Stream, misplaced};
use crate::transaction::{Assembler, NameCase, Unit};
use crate::wire::{Connection, Endpoint};

use super::Backoff;
use super::backoff::Met;
use super::poller::{PATIENCE, binary_logs};

/// Between the reader and what applies.
pub(super) const QUEUE: &str = "apply";
/// One permit of the memory bound.
pub(super) const SHARE: usize = 1024;
/// The queue is told of at most so often while it moves, and so often while it does not.
const TELL: Duration = Duration::from_secs(1);
/// How long the source may be out of reach at the start before that is an error.
const FIRST_PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the source that is being made.
pub(super) type Dialing = oneshot::Receiver<Result<Dialed>>;

/// Connects while others work. Never broken off: a server counts handshakes that end half-way, and in the end refuses the
/// host (`max_connect_errors`).
pub(super) fn dial(endpoint: Endpoint) -> Dialing {
    let (sender, dialing) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(Ok(unwanted)) = sender.send(Dialed::dial(&endpoint).await) {
            unwanted.close().await;
        }
    });
    dialing
}

/// Reads one source.
pub(super) struct Reader {
    pub(super) registration: Registration,
    /// The first connection, made while the target was being prepared.
    pub(super) dialed: Option<Dialing>,
    pub(super) assembler: Assembler,
    pub(super) start: Start,
    pub(super) source_uuid: String,
    pub(super) accept_uuid: Option<String>,
    pub(super) observer: Arc<Observer>,
    /// What an operator has ordered.
    pub(super) orders: watch::Receiver<Orders>,
    /// No transaction was ever seen to begin at the start position.
    pub(super) untried: bool,
    /// The source has been streamed from.
    pub(super) met: Met,
    pub(super) budget: Arc<Semaphore>,
    pub(super) budget_shares: usize,
    pub(super) out: mpsc::Sender<Delivery>,
    pub(super) sampler: Sampler,
    /// When the queue was told of last.
    pub(super) told: Instant,
}

/// The other side is gone; its own error says why.
struct Gone;

impl Reader {
    /// Reads until a definite error, or until nobody takes what is read.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut backoff = Backoff::default();
        let deadline = Instant::now() + FIRST_PATIENCE;
        self.tell_queue();
        loop {
            let error = match self.open().await {
                Ok(stream) => {
                    self.require_same_source(&stream)?;
                    let folds = stream.identity().folds_names;
                    self.assembler.learn_source_case(if folds { NameCase::Lower } else { NameCase::Keep });
                    self.observer.connected(End::Source, true);
                    self.observer.clock_offset(Some(stream.identity().clock_ahead_us));
                    info!(source = %self.registration.endpoint.host, version = %stream.identity().version, "streaming from source");
                    match self.pump(stream, &mut backoff).await {
                        Ok(Gone) => return Ok(()),
                        Err(error) if self.untried => misplaced(error),
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.observer.connected(End::Source, false);
            let patient = self.met.ever() || Instant::now() < deadline;
            if !self.met.may_pass(&error) || !patient {
                return Err(self.diagnosed(error).await.context(format!(
                    "source {}:{}",
                    self.registration.endpoint.host, self.registration.endpoint.port
                )));
            }
            self.lost(&error, &mut backoff).await;
        }
    }

    async fn open(&mut self) -> Result<Stream> {
        let start = self.resume_at();
        let dialed = match self.dialed.take() {
            // Without an answer if it panicked.
            Some(dialing) => dialing.await.ok().transpose()?,
            None => None,
        };
        match dialed {
            Some(dialed) => Stream::begin(dialed, &self.registration, &start).await,
            None => Stream::open(&self.registration, &start).await,
        }
    }

    /// The source has one sentence for a file that it purged and for one that it never had; its list of files says more.
    async fn diagnosed(&self, error: Error) -> Error {
        let Start::File(at) = self.resume_at() else { return error };
        if error.code() != Code::Purged {
            return error;
        }
        let listed = timeout(PATIENCE, async {
            let mut connection = Connection::connect(&self.registration.endpoint).await?;
            binary_logs(&mut connection).await
        });
        match listed.await {
            Ok(Ok(logs)) => check_against_logs(&at, &logs).err().unwrap_or(error),
            _ => error,
        }
    }

    async fn lost(&mut self, error: &Error, backoff: &mut Backoff) {
        self.observer.reconnect(End::Source, error.code());
        if let Some(unit) = self.assembler.interrupt() {
            // If nobody listens any more, the next hand-over says so.
            let _ = self.hand_over(unit).await;
        }
        let wait = backoff.wait();
        warn!(%error, wait_ms = wait.as_millis(), "source connection lost, connecting again");
        sleep(wait).await;
    }

    fn resume_at(&self) -> Start {
        match (&self.start, self.assembler.resume()) {
            (Start::File(_), Some(at)) => Start::File(at.clone()),
            (start, _) => start.clone(),
        }
    }

    /// File and offset belong to one server; GTIDs hold on any that has them.
    fn require_same_source(&self, stream: &Stream) -> Result<()> {
        let uuid = &stream.identity().uuid;
        let accepted = self.accept_uuid.as_ref().is_some_and(|accepted| accepted.eq_ignore_ascii_case(uuid));
        if matches!(self.start, Start::File(_)) && *uuid != self.source_uuid && !accepted {
            bail!(
                SourceChanged,
                "the source has server_uuid {uuid}, the stored position belongs to {}",
                self.source_uuid
            );
        }
        Ok(())
    }

    async fn pump(&mut self, mut stream: Stream, backoff: &mut Backoff) -> Result<Gone> {
        let mut met = false;
        loop {
            let located = match stream.next().await {
                Err(error) if met => {
                    self.met.note();
                    return Err(error);
                }
                located => located?,
            };
            if let Some(took) = stream.take_decoding() {
                self.observer.stage(Stage::Decode, took);
            }
            self.learn_skips();
            if !std::mem::replace(&mut met, true) {
                self.met.note();
                backoff.reset();
            }
            if let Some(unit) = self.take(located)?
                && self.hand_over(unit).await.is_err()
            {
                return Ok(Gone);
            }
        }
    }

    fn learn_skips(&mut self) {
        if self.orders.has_changed().unwrap_or(false) {
            let skips = &self.orders.borrow_and_update().skips;
            self.assembler.skip(skips.iter().map(|skip| skip.target.clone()).collect());
        }
    }

    fn take(&mut self, located: Located) -> Result<Option<Unit>> {
        let kind = located.event.header.kind;
        let size = located.event.bytes.len();
        let end = located.end();
        let heartbeat = matches!(located.event.body, Body::Heartbeat { .. });
        if let (Body::Rotate { file, offset, artificial: true }, None) =
            (&located.event.body, self.assembler.resume())
        {
            // A start by GTID has no place until the source says where it begins.
            self.observer.loaded(&Coordinates { file: Arc::clone(file), offset: *offset });
        }
        self.observer.event(kind, size);
        if heartbeat {
            self.observer.heartbeat(&end);
            self.tell_queue();
            return Ok(None);
        }
        let began = self.sampler.start();
        let unit = self.assembler.push(located)?;
        if let Some(began) = began {
            self.observer.stage(Stage::Assemble, began.elapsed());
        }
        self.untried &= !matches!(kind, kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::QUERY);
        match &unit {
            Some(Unit::Whole(transaction)) => {
                self.observer.received(&transaction.end, transaction.committed_us, 1);
                if let (Start::Gtid(set), Some(gtid)) = (&mut self.start, &transaction.gtid) {
                    set.add(gtid);
                }
            }
            None if matches!(kind, kind::ROTATE | kind::FORMAT_DESCRIPTION) && !end.file.is_empty() => {
                self.observer.passed(&end);
            }
            _ => {}
        }
        Ok(unit)
    }

    async fn hand_over(&mut self, unit: Unit) -> std::result::Result<(), Gone> {
        let shares = unit.bytes().div_ceil(SHARE).clamp(1, self.budget_shares);
        let shares = u32::try_from(shares).unwrap_or(u32::MAX);
        let held = match Arc::clone(&self.budget).try_acquire_many_owned(shares) {
            Ok(held) => held,
            Err(TryAcquireError::Closed) => return Err(Gone),
            Err(TryAcquireError::NoPermits) => {
                let budget = Arc::clone(&self.budget);
                self.waited(budget.acquire_many_owned(shares)).await.map_err(|_| Gone)?
            }
        };
        let place = match self.out.try_reserve() {
            Ok(place) => place,
            Err(TrySendError::Closed(())) => return Err(Gone),
            Err(TrySendError::Full(())) => self.waited(self.out.reserve()).await.map_err(|_| Gone)?,
        };
        let now = Instant::now();
        place.send(Delivery { unit, share: Some(Share::new(held, now)) });
        if now.duration_since(self.told) >= TELL {
            self.told = now;
            self.tell_queue();
        }
        Ok(())
    }

    /// Waits for room, and tells so while it does: a wait may have no end.
    async fn waited<T>(&self, room: impl Future<Output = T>) -> T {
        let mut room = pin!(room);
        loop {
            let since = Instant::now();
            let done = timeout(TELL, &mut room).await;
            self.observer.backpressure(since.elapsed());
            if let Ok(done) = done {
                return done;
            }
            self.tell_queue();
        }
    }

    fn tell_queue(&self) {
        let used = self.budget_shares.saturating_sub(self.budget.available_permits());
        let capacity = self.out.max_capacity();
        let queue = Queue {
            depth: capacity - self.out.capacity(),
            capacity,
            bytes: used * SHARE,
            capacity_bytes: self.budget_shares * SHARE,
            ..Queue::default()
        };
        self.observer.queue(QUEUE, queue);
    }
}

/// The GTIDs that a stream starting by GTID must not send again.
pub(super) fn start_of(low: &crate::progress::Mark) -> Result<Start> {
    match (&low.gtids, &low.at) {
        (Some(gtids), _) => Ok(Start::Gtid(GtidSet::clone(gtids))),
        (None, Some(at)) => Ok(Start::File(at.clone())),
        (None, None) => bail!(Progress, "the progress row holds neither file and offset nor GTIDs"),
    }
}

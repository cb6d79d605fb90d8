//! Guard and record as one row event: that it is what guards row batches, and what it refuses.

use std::sync::Arc;
use std::time::Duration;

use binbridge::apply::{Packet, Session};
use binbridge::binlog::{Decoder, Header};
use binbridge::position::Coordinates;
use binbridge::progress::{Fence, Frontier, Mark, Ranges, Row, RowFence, Seq, Tables};
use binbridge::transaction::Format;
use binbridge::wire::{Endpoint, Redacted, Reply, Secret, SslMode, Timeouts, Tls};

use crate::support::{AZADMIN, Bridge, BridgeOptions, Server, ServerOptions, azure_like, compare};

const LIMIT: Duration = Duration::from_secs(60);

/// `DO` is what guards in SQL, and nothing else says it.
fn guards_in_sql(target: &Server) -> u64 {
    let row = target.sql("SHOW GLOBAL STATUS LIKE 'Com_do'");
    row.split_whitespace().last().and_then(|count| count.parse().ok()).expect("a count")
}

#[test]
fn row_batches_need_no_sql_but_on_a_table_of_an_older_layout() {
    let source = Server::start(ServerOptions::new("source"));
    let target = azure_like("target");
    let mut bridge = Bridge::started(BridgeOptions::new(&source, &target), &source.coordinates());
    source.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, name VARCHAR(20))");
    bridge.wait_caught_up(&source, LIMIT);
    let mut seen = guards_in_sql(&target);
    let mut id = 0;
    for (key, in_sql) in [
        (None, false),
        (Some("bridge, worker"), true),
        (Some("bridge, worker, epoch, session, seq"), false),
        (Some("bridge, worker, session, epoch, seq"), true),
    ] {
        if let Some(key) = key {
            assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
            target.sql(&format!("ALTER TABLE binbridge.progress DROP PRIMARY KEY, ADD PRIMARY KEY ({key})"));
            seen = guards_in_sql(&target);
            bridge.run();
        }
        for _ in 0..20 {
            id += 1;
            source.sql(&format!(
                "INSERT INTO shop.t VALUES ({id}, '日本'); UPDATE shop.t SET name = 'x' WHERE id = {id}"
            ));
        }
        bridge.wait_caught_up(&source, LIMIT);
        compare(&source, &target, &["shop"]).unwrap();
        assert_eq!(guards_in_sql(&target) > seen, in_sql, "{key:?}");
        assert_eq!(target.sql("SELECT COUNT(*) FROM binbridge.progress"), "1");
        assert_eq!(target.sql("SELECT seq = low_seq AND done = '' FROM binbridge.progress"), "1");
    }
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
}

/// What a source's binlog begins with.
fn format() -> Arc<Format> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/types.binlog");
    let mut rest = bytes::Bytes::from(std::fs::read(path).unwrap()).slice(4..);
    let size = usize::try_from(Header::parse(&rest).unwrap().event_size).unwrap();
    let mut decoder = Decoder::new(true);
    decoder.decode(rest.split_to(size)).unwrap();
    Arc::new(Format::of(decoder.format().unwrap()))
}

fn endpoint(target: &Server) -> Endpoint {
    Endpoint {
        host: "127.0.0.1".to_owned(),
        port: target.port(),
        user: AZADMIN.user.to_owned(),
        secret: Secret::Text(Redacted::new(AZADMIN.password)),
        tls: Tls { mode: SslMode::Preferred, ..Tls::default() },
        timeouts: Timeouts::default(),
        program: "test",
    }
}

/// A session, and what guards its packets.
struct Sender {
    session: Session,
    row_fence: RowFence,
}

/// An event's header, for its time and server.
const LIKE: [u8; Header::LEN] = [1; Header::LEN];

impl Sender {
    /// Moves the row from `previous` to `seq` behind other statements, in one packet.
    async fn send(&mut self, fence: Fence, previous: u64, seq: u64, changes: &[&str]) {
        self.send_as(0, fence, previous, seq, changes).await;
    }

    async fn send_as(&mut self, worker: u32, fence: Fence, previous: u64, seq: u64, changes: &[&str]) {
        let at = Coordinates { file: "mysql-bin.000001".into(), offset: seq * 100 };
        let frontier = Frontier::new(Mark { seq: Seq(seq), at: Some(at), gtids: None }, Ranges::default());
        let (row, mut events) = ((worker, fence, Seq(previous)), Vec::new());
        self.row_fence.record(&LIKE, row, Seq(seq), (&frontier, seq)).append(&mut events);
        let mut packet = Packet::default();
        for statement in changes.iter().copied().chain([binlog(&events).as_str(), "COMMIT"]) {
            packet.push(statement);
        }
        self.session.send(&packet).await.unwrap();
    }

    /// The error that the next packet in flight met, if any.
    async fn refused(&mut self, replies: usize) -> Option<u16> {
        for _ in 0..replies {
            if let Reply::Failed(error) = self.session.reply().await.unwrap() {
                return Some(error.number);
            }
        }
        None
    }
}

fn binlog(events: &[u8]) -> String {
    use base64::Engine;
    format!("BINLOG '{}'", base64::engine::general_purpose::STANDARD.encode(events))
}

/// The place that a bridge starts at.
fn low() -> Mark {
    let at = Coordinates { file: "mysql-bin.000001".into(), offset: 4 };
    Mark { seq: Seq(0), at: Some(at), gtids: None }
}

/// A session that sends on a target where `tables` are, shown a source's format.
async fn sender(target: &Server, tables: &Tables) -> Sender {
    let mut session = Session::open(&endpoint(target)).await.unwrap();
    let answer = session.connection.query(&tables.ask_row_fence()).await.unwrap();
    let row_fence = tables.row_fence(&answer).expect("the table is as this version creates it");
    session.run(&["COMMIT".to_owned()]).await.unwrap();
    let prelude = session.prelude(&format()).unwrap();
    session.send(&prelude).await.unwrap();
    let mut sender = Sender { session, row_fence };
    assert_eq!(sender.refused(prelude.replies).await, None);
    sender
}

/// The tables, and worker 0's row of epoch 17.
async fn prepared(target: &Server) -> Tables {
    let tables = Tables::new("binbridge", "main");
    let mut session = Session::open(&endpoint(target)).await.unwrap();
    session.run(&tables.create()).await.unwrap();
    session.run(&tables.start(uuid::Uuid::from_u128(1), "", &low(), 17)).await.unwrap();
    session.run(&["COMMIT".to_owned()]).await.unwrap();
    tables
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn what_is_in_flight_behind_a_packet_that_failed_half_way_is_refused() {
    const NOT_FOUND: Option<u16> = Some(1032);
    const INSERT: &str = "INSERT INTO shop.t VALUES ()";
    let target = azure_like("target");
    target.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT)");
    let rows = || target.sql("SELECT COUNT(*) FROM shop.t");
    let row = || target.sql("SELECT CONCAT_WS(' ', epoch, session, seq, low_pos) FROM binbridge.progress");
    runtime().block_on(async {
        let tables = prepared(&target).await;
        let mut sender = sender(&target, &tables).await;
        let fence = Fence { epoch: 17, session: 0 };

        // The first fails behind a change and before its record; two are in flight behind it, and none after them.
        sender.send(fence, 0, 1, &[INSERT, "DO (SELECT 1 UNION SELECT 2)"]).await;
        sender.send(fence, 1, 2, &[INSERT]).await;
        sender.send(fence, 2, 3, &[]).await;
        assert_eq!(sender.refused(4).await, Some(1242));
        assert_eq!([sender.refused(3).await, sender.refused(2).await], [NOT_FOUND; 2]);
        sender.session.run(&["ROLLBACK".to_owned()]).await.unwrap();
        assert_eq!([row(), rows()], ["17 0 0 4", "0"]);

        sender.send(fence, 0, 1, &[INSERT]).await;
        sender.send(fence, 1, 2, &[INSERT]).await;
        assert_eq!([sender.refused(3).await, sender.refused(3).await], [None; 2]);
        assert_eq!([row(), rows()], ["17 0 2 200", "2"]);

        // Twice the same, another's epoch, an older connection's session, and a number that is ahead.
        for (fence, previous) in [
            (fence, 1),
            (Fence { epoch: 16, session: 0 }, 2),
            (Fence { epoch: 17, session: 1 }, 2),
            (fence, 3),
            (fence, u64::MAX),
        ] {
            sender.send(fence, previous, 9, &[INSERT]).await;
            assert_eq!(sender.refused(3).await, NOT_FOUND);
            sender.session.run(&["ROLLBACK".to_owned()]).await.unwrap();
        }
        // Someone has taken over; and the row is gone.
        sender.session.run(&[tables.take(18), "COMMIT".to_owned()]).await.unwrap();
        sender.send(fence, 2, 3, &[INSERT]).await;
        assert_eq!(sender.refused(3).await, NOT_FOUND);
        sender.session.run(&["ROLLBACK".to_owned()]).await.unwrap();
        assert_eq!([row(), rows()], ["18 0 2 200", "2"]);
        target.sql("DELETE FROM binbridge.progress");
        sender.send(Fence { epoch: 18, session: 0 }, 2, 3, &[]).await;
        assert_eq!(sender.refused(2).await, NOT_FOUND);
    });
}

/// A row that moves along the key is never behind whoever reads them all with locks: not missed, not seen twice.
#[test]
fn whoever_takes_over_finds_every_row_however_fast_it_moves() {
    /// Packets of each worker before someone takes over, and in flight.
    const PACKETS: u64 = 150;
    const DEPTH: u64 = 8;
    let target = azure_like("target");
    runtime().block_on(async {
        let tables = prepared(&target).await;
        let mut taker = Session::open(&endpoint(&target)).await.unwrap();
        taker.run(&[tables.add_worker(1, 17, &low(), 17), "COMMIT".to_owned()]).await.unwrap();
        let mut fence = Fence { epoch: 17, session: 0 };
        let mut senders = [sender(&target, &tables).await, sender(&target, &tables).await];
        let mut last = [0, 0];
        for _ in 0..8 {
            let [first, second] = &mut senders;
            let [first_last, second_last] = last;
            let (first_done, second_done, looked) = tokio::join!(
                first.send_many(0, fence, first_last, DEPTH),
                second.send_many(1, fence, second_last, DEPTH),
                take_over(&mut taker, &tables, fence, PACKETS),
            );
            assert_eq!(looked, [first_done, second_done], "what was committed is what the new owner found");
            last = looked;
            fence = Fence { epoch: fence.epoch + 1, session: 0 };
        }
    });
}

impl Sender {
    /// Sends one packet after another, so many in flight, until one is refused. Gives the last that was committed.
    async fn send_many(&mut self, worker: u32, fence: Fence, from: u64, depth: u64) -> u64 {
        let (mut sent, mut done) = (from, from);
        let refused = loop {
            while sent < done + depth {
                self.send_as(worker, fence, sent, sent + 1, &[]).await;
                sent += 1;
            }
            match self.refused(2).await {
                None => done += 1,
                Some(error) => break error,
            }
        };
        assert_eq!(refused, 1032);
        for _ in done + 1..sent {
            assert_eq!(self.refused(2).await, Some(1032));
        }
        self.session.run(&["ROLLBACK".to_owned()]).await.unwrap();
        done
    }
}

/// Reads all rows with locks, over and over, and then takes over. Gives where the two workers were.
async fn take_over(taker: &mut Session, tables: &Tables, fence: Fence, packets: u64) -> [u64; 2] {
    let mut first = None;
    loop {
        let rows = taker.connection.query(&tables.read(true)).await.unwrap();
        let rows = Row::parse_all(&rows).unwrap();
        let seen: Vec<_> = rows.iter().map(|row| (row.worker, row.fence)).collect();
        assert_eq!(seen, [(0, fence), (1, fence)]);
        let seqs = [rows[0].seq.0, rows[1].seq.0];
        let begun = *first.get_or_insert(seqs);
        if seqs.iter().zip(begun).all(|(seq, begun)| *seq >= begun + packets) {
            taker.run(&[tables.take(fence.epoch + 1), "COMMIT".to_owned()]).await.unwrap();
            return seqs;
        }
        taker.run(&["COMMIT".to_owned()]).await.unwrap();
    }
}

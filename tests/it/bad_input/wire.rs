//! Garbage at each layer of the wire: in an event, around it, in answers, under TLS, instead of the protocol.

use super::flipper::{Change, Flipper};
use super::*;
use crate::support::Direction::{self, ToClient, ToServer};
use crate::support::REPL;

/// Where the parts of a table map event stand, counted from the schema's name in it: packet header, status byte, event
/// header, table id, flags, length of the name.
const PACKET: isize = -33;
const STATUS: isize = PACKET + 4;
const EVENT: isize = STATUS + 1;

/// What becomes of a byte: counted from where a pattern begins, and its new value.
type Flip = (isize, fn(u8) -> u8);

fn plain(pair: &Pair, name: &str, source: u16, target: u16) -> Bridge {
    let mut options = pair.options(name);
    options.end("source", source, REPL, None).end("target", target, AZADMIN, None);
    for end in ["source", "target"] {
        options.keys.remove(&format!("{end}.ssl_ca"));
        options.set(&format!("{end}.ssl_mode"), "\"disabled\"");
    }
    options.set("source.read_timeout", "\"3s\"").set("target.read_timeout", "\"3s\"");
    Bridge::new(options)
}

fn start() -> Pair {
    let mut target = azure_options("target");
    target.require_secure_transport = false;
    let pair = Pair::with_target(ServerOptions::new("source"), target);
    pair.both("CREATE DATABASE wired; CREATE TABLE wired.t (id INT PRIMARY KEY, v VARCHAR(99))");
    pair
}

/// Rows `id` and `id + 1` by themselves, with the mark in the second of them; gives where the second begins.
fn two(pair: &Pair, id: u32) -> Coordinates {
    pair.source_sql(&format!("INSERT INTO wired.t VALUES ({id}, 'good')"));
    let second = pair.end();
    pair.source_sql(&format!("INSERT INTO wired.t VALUES ({id} + 1, 'MARKED-{id}-MARKED')"));
    second
}

#[test]
fn bytes_that_change_on_the_way_from_the_source_are_found_and_not_applied() {
    let pair = start();
    let flipper = Flipper::start(pair.source.port());
    let mut bridge = plain(&pair, "from-source", flipper.port, pair.target.port());
    bridge.store(&pair.end());
    let xor: fn(u8) -> u8 = |byte| byte ^ 0x10;
    let (mut id, mut good) = (0u32, 0);
    for (pattern, at, code, exit) in [
        ("MARKED", 2, "BB3201", 65),
        ("MARKED", -2, "BB3201", 65),
        ("wired", 0, "BB3201", 65),
        ("wired", EVENT, "BB3201", 65),
        ("wired", EVENT + 4, "BB3201", 65),
        ("wired", EVENT + 9, "BB3201", 65),
        ("wired", EVENT + 13, "BB3201", 65),
        ("wired", STATUS, "BB9001", 70),
        ("wired", PACKET + 3, "BB9001", 70),
        ("wired", PACKET, "BB3201", 65),
    ] {
        eprintln!("{pattern} {at}");
        id += 10;
        bridge.run();
        bridge.wait_caught_up(&pair.source, LIMIT);
        let seq: u32 = progress(&pair.target, "from-source", "seq").parse().unwrap();
        pair.source_sql(&format!("INSERT INTO wired.t VALUES ({id}, 'good')"));
        bridge.wait_caught_up(&pair.source, LIMIT);
        flipper.arm(ToClient, pattern.as_bytes(), Change::Byte { at, value: xor });
        let second = pair.end();
        pair.source_sql(&format!("INSERT INTO wired.t VALUES ({id} + 1, 'MARKED-{id}-MARKED')"));
        let error = ended(&mut bridge, code, exit);
        assert_eq!(flipper.changed(), u64::from(id) / 10);
        says(&error, &["source 127.0.0.1"]);
        if code == "BB3201" {
            says(&error, &[&format!("at {}:", second.file)]);
        }
        good = id;
        assert_eq!(pair.target_sql("SELECT MAX(id) FROM wired.t"), good.to_string());
        let expected = format!("{} {} {}", seq + 1, second.file, second.offset);
        assert_eq!(progress(&pair.target, "from-source", "CONCAT_WS(' ', seq, low_file, low_pos)"), expected);
    }
    bridge.run();
    bridge.wait_caught_up(&pair.source, LIMIT);
    compare(&pair.source, &pair.target, &["wired"]).unwrap();
    assert_eq!(bridge.stop().code(), Some(0));
    assert!(good > 0);
}

/// The connection of the bridge's own stream, once those on which it looked before the start are gone, which the source
/// notices when it sends something.
fn only_dump(pair: &Pair, bridge: &Bridge) -> String {
    bridge.wait_log("streaming from source", LIMIT);
    let dumps = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'";
    wait_until("one dump is left", LIMIT, || pair.source_sql(dumps).lines().count() == 1);
    pair.source_sql(dumps)
}

#[test]
fn without_checksums_unknown_and_damaged_events_are_still_not_passed() {
    let pair = start();
    pair.source_sql("SET GLOBAL binlog_checksum = 'NONE'");
    let flipper = Flipper::start(pair.source.port());
    let mut bridge = plain(&pair, "unchecked", flipper.port, pair.target.port());
    bridge.store(&pair.end());
    let changes: [(&str, Flip, &[&str]); 5] = [
        ("wired", (EVENT + 4, |_| 99), &["BB3202"]),
        ("wired", (EVENT + 4, |_| 172), &["BB3202"]),
        ("wired", (EVENT + 4, |_| 26), &["BB3203", "BB3201"]),
        ("wired", (EVENT + 9, |byte| byte ^ 1), &["BB3201"]),
        // The length of the value: the row ends elsewhere.
        ("MARKED", (-1, |byte| byte + 1), &["BB3201"]),
    ];
    for (n, (pattern, (at, value), codes)) in changes.into_iter().enumerate() {
        let id = u32::try_from(n).unwrap() * 10 + 10;
        bridge.run();
        only_dump(&pair, &bridge);
        let before = pair.target_sql("SELECT COUNT(*) FROM wired.t");
        flipper.arm(ToClient, pattern.as_bytes(), Change::Byte { at, value });
        if pattern == "wired" {
            // The first table map that passes is that of the transaction to be refused.
            pair.source_sql(&format!("INSERT INTO wired.t VALUES ({id}, 'MARKED-{id}-MARKED')"));
        } else {
            two(&pair, id);
        }
        let good = pair.source_sql("SELECT MAX(id) FROM wired.t WHERE v = 'good'");
        let status = bridge.wait_ended(LIMIT);
        let log = bridge.log();
        assert_eq!(status.code(), Some(65), "{log}");
        let error = log.lines().find(|line| line.contains("level=error")).unwrap();
        assert!(codes.iter().any(|code| error.contains(&format!("code={code} "))), "{error}");
        says(error, &["binlog.00000", "source 127.0.0.1"]);
        std::fs::remove_file(bridge.log_path()).unwrap();
        if pattern == "wired" {
            assert_eq!(pair.target_sql("SELECT COUNT(*) FROM wired.t"), before);
        } else {
            assert_eq!(pair.target_sql("SELECT MAX(id) FROM wired.t"), good);
        }
        bridge.run();
        bridge.wait_caught_up(&pair.source, LIMIT);
        assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    }
    compare(&pair.source, &pair.target, &["wired"]).unwrap();
}

#[test]
fn bytes_that_change_on_the_way_to_the_target_neither_lose_nor_double_anything() {
    let pair = start();
    let flipper = Flipper::start(pair.target.port());
    let mut bridge = plain(&pair, "to-target", pair.source.port(), flipper.port);
    bridge.store(&pair.end());
    let guarded_by_rows: [(Direction, &[u8], Flip); 6] = [
        // Statements that become nonsense.
        (ToServer, b"COMMIT", (1, |_| b'X')),
        // The names of schemas: of the changed table, and of the progress table in the guard.
        (ToServer, b"\x03BINLOG '", (50, |byte| if byte == b'A' { b'B' } else { b'A' })),
        (ToServer, b"\x03BINLOG '", (118, |byte| if byte == b'A' { b'B' } else { b'A' })),
        (ToServer, b"BINLOG '", (3, |_| b'#')),
        // The answer to COMMIT.
        (ToClient, b"\x07\x00\x00\x02\x00\x00\x00", (4, |_| 0x40)),
        (ToClient, b"\x07\x00\x00\x02\x00\x00\x00", (4, |_| 0xFF)),
    ];
    let guarded_by_sql: [(Direction, &[u8], Flip); 5] = [
        (ToServer, b"COMMIT", (1, |_| b'X')),
        (ToServer, b"UPDATE `binbridge`", (2, |_| b'#')),
        (ToServer, b"BINLOG '", (3, |_| b'#')),
        (ToClient, b"\x07\x00\x00\x04\x00\x00\x00", (4, |_| 0x40)),
        (ToClient, b"\x07\x00\x00\x04\x00\x00\x00", (4, |_| 0xFF)),
    ];
    for (n, (direction, pattern, (at, value))) in
        guarded_by_rows.into_iter().chain(guarded_by_sql).enumerate()
    {
        if n == guarded_by_rows.len() {
            // As an earlier build made it.
            pair.target_sql(
                "ALTER TABLE binbridge.progress DROP PRIMARY KEY, ADD PRIMARY KEY (bridge, worker)",
            );
        }
        let id = u32::try_from(n).unwrap() * 10 + 10;
        bridge.run();
        bridge.wait_caught_up(&pair.source, LIMIT);
        flipper.arm(direction, pattern, Change::Byte { at, value });
        two(&pair, id);
        wait_until("a byte is changed", LIMIT, || flipper.changed() == u64::from(id) / 10);
        let end = pair.end();
        let done = |bridge: &mut Bridge| {
            bridge.ended().is_some()
                || (progress(&pair.target, "to-target", "CONCAT(low_file, ':', low_pos)") == end.to_string()
                    && bridge.has_caught_up(&pair.source))
        };
        wait_until("it goes on or ends", LIMIT, || done(&mut bridge));
        // Either what was refused goes through the second time, or the bridge ends and goes on when started again.
        if let Some(status) = bridge.ended() {
            assert!([Some(65), Some(70)].contains(&status.code()), "{status}: {}", bridge.log());
            assert_eq!(bridge.log().matches("level=error").count(), 1, "{}", bridge.log());
            bridge.kill();
            bridge.run();
        }
        bridge.wait_caught_up(&pair.source, LIMIT);
        compare(&pair.source, &pair.target, &["wired"]).unwrap();
        assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
        let _ = std::fs::remove_file(bridge.log_path());
    }
}

#[test]
fn under_tls_a_changed_byte_is_a_lost_connection() {
    let pair = start();
    let flippers = [Flipper::start(pair.source.port()), Flipper::start(pair.target.port())];
    let mut options = pair.options("tls");
    for (end, flipper) in ["source", "target"].into_iter().zip(&flippers) {
        options.set(&format!("{end}.port"), &flipper.port.to_string());
    }
    let mut bridge = Bridge::started(options, &pair.end());
    two(&pair, 100);
    bridge.wait_caught_up(&pair.source, LIMIT);
    for (n, flipper) in flippers.iter().enumerate() {
        // Any record of application data.
        flipper.arm(ToClient, &[23, 3, 3], Change::Byte { at: 9, value: |byte| byte ^ 1 });
        two(&pair, u32::try_from(n).unwrap() * 10);
        wait_until("a byte is changed", LIMIT, || flipper.changed() == 1);
        bridge.wait_caught_up(&pair.source, LIMIT);
    }
    compare(&pair.source, &pair.target, &["wired"]).unwrap();
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    says(&bridge.log(), &["BB2002"]);
}

#[test]
fn servers_that_speak_nonsense_after_the_login_do_not_hold_the_bridge() {
    let pair = start();
    for (end, pattern) in
        [("source", "source_binlog_checksum"), ("target", "READ-COMMITTED"), ("target", "GET_LOCK")]
    {
        let port = if end == "source" { pair.source.port() } else { pair.target.port() };
        let flipper = Flipper::start(port);
        let name = format!("nonsense-{pattern}");
        let mut bridge = plain(&pair, &name, pair.source.port(), pair.target.port());
        bridge.store(&pair.end());
        bridge.options().set(&format!("{end}.port"), &flipper.port.to_string());
        if end == "source" {
            bridge.run();
        }
        let dump = if end == "source" { only_dump(&pair, &bridge) } else { String::new() };
        flipper.arm(ToServer, pattern.as_bytes(), Change::Garble);
        if end == "source" {
            pair.source_sql(&format!("KILL {dump}"));
        } else {
            bridge.run();
        }
        // Nonsense is told at once; what looks like a long packet is waited for no longer than an answer may take, and then
        // the connection is made anew.
        let began = Instant::now();
        let goes_on = |log: &str| match end {
            "source" => log.matches("streaming from source").count() > 1,
            _ => log.contains("level=warn"),
        };
        wait_until(&format!("{name}: the bridge ends or goes on"), LIMIT, || {
            bridge.ended().is_some() || goes_on(&bridge.log())
        });
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        if let Some(status) = bridge.ended() {
            assert_eq!(status.code(), Some(70), "{}", bridge.log());
        } else {
            bridge.wait_caught_up(&pair.source, LIMIT);
            assert_eq!(bridge.stop().code(), Some(0));
        }
    }
}

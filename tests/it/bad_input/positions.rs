//! Positions that are no place to start from, and sources that are not the one they belong to.

use super::*;

#[track_caller]
fn store(bridge: &Bridge, file: &str, offset: u64) -> Output {
    bridge.output(&["position", "--file", file, "--offset", &offset.to_string()])
}

/// Offsets at which events of the last binlog file begin, with their types.
fn events(source: &Server) -> Vec<(u64, String)> {
    let file = source.coordinates().file;
    let rows = source.sql(&format!("SHOW BINLOG EVENTS IN '{file}'"));
    let event = |row: &str| {
        let mut fields = row.split('\t').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.to_owned()))
    };
    rows.lines().filter_map(event).collect()
}

/// As if the position had been stored without being checked.
fn move_to(pair: &Pair, name: &str, file: &str, offset: u64) {
    pair.target.sql(&format!(
        "UPDATE binbridge.progress SET low_file = '{file}', low_pos = {offset} WHERE bridge = '{name}'"
    ));
}

#[test]
fn positions_that_are_no_place_to_start_from_are_refused_and_nothing_is_applied() {
    let pair = Pair::start(ServerOptions::new("source"));
    pair.both(
        "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(2000)); CREATE TABLE app.u (id INT PRIMARY KEY, v VARCHAR(9))",
    );
    pair.source.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    let purged = "binlog.000001";
    let here = pair.source.coordinates();
    pair.source.sql(&format!("PURGE BINARY LOGS TO '{}'", here.file));
    pair.source.sql(
        "SET SESSION binlog_format = 'MIXED'; BEGIN; SET @a = 1; INSERT INTO app.u VALUES (@a, 'x');
         INSERT INTO app.t VALUES (1, CONCAT(UUID(), REPEAT('a', 1900))); INSERT INTO app.u VALUES (2, 'x'); COMMIT;
         INSERT INTO app.u VALUES (3, 'y')",
    );
    let end = pair.source.coordinates();
    let events = events(&pair.source);
    nothing_stored(&pair, &here);

    let mut bridge = Bridge::new(pair.options("places"));
    bridge.store(&here);
    says(&refused(&store(&bridge, &end.file, 3), "BB1004", 65), &["first event"]);
    let mut check = |file: &str, offset: u64, code: &str, words: &[&str]| {
        let said = refused(&store(&bridge, file, offset), code, 65);
        says(&said, words);
        move_to(&pair, "places", file, offset);
        let error = run_refused(&mut bridge, code, 65);
        says(&error, &["source 127.0.0.1"]);
        let left = pair.target.sql("SELECT COUNT(*) FROM app.t UNION ALL SELECT COUNT(*) FROM app.u");
        assert_eq!(left, "0\n0", "{file}:{offset}");
        let row = progress(&pair.target, "places", "CONCAT_WS(' ', seq, low_file, low_pos)");
        assert_eq!(row, format!("0 {file} {offset}"));
    };
    check(purged, 4, "BB3101", &["purged", "retention"]);
    check(&end.file, end.offset + 1, "BB3102", &["beyond the end"]);
    check(&end.file, end.offset + 1_000_000, "BB3102", &["beyond the end"]);
    check("binlog.000099", 4, "BB3102", &["does not have yet"]);
    check("mysqld-relay-bin.000002", 4, "BB3102", &["another server's", "relay log"]);
    // Inside events: in a header, in a body, one byte off.
    let rows = events.iter().find(|event| event.1 == "Write_rows").unwrap().0;
    for offset in [rows + 1, rows + 8, rows + 19, rows + 40, rows + 1000, end.offset - 1, end.offset - 20] {
        check(&end.file, offset, "BB3102", &["inside an event"]);
    }
    // Inside a transaction: at every event of it but its first.
    let begin = events.iter().position(|event| event.1 == "Query").unwrap();
    for (offset, _) in events.iter().skip(begin + 1).take_while(|event| event.1 != "Anonymous_Gtid") {
        check(&end.file, *offset, "BB3102", &["inside a"]);
    }

    // And from the right place it goes.
    move_to(&pair, "places", &here.file, here.offset);
    bridge.run();
    bridge.wait_caught_up(&pair.source, LIMIT);
    compare(&pair.source, &pair.target, &["app"]).unwrap();
    assert_eq!(bridge.stop().code(), Some(0));
    purged_while_running(&pair, &mut bridge);
    another_source(&pair, bridge);
}

fn nothing_stored(pair: &Pair, here: &Coordinates) {
    let mut bridge = Bridge::new(pair.options("unset"));
    says(&run_refused(&mut bridge, "BB1005", 78), &["target", "binbridge position"]);
    bridge.store(here);
    pair.target.sql("DELETE FROM binbridge.progress");
    says(&run_refused(&mut bridge, "BB1005", 78), &["target"]);
    says(&refused(&bridge.output(&["position"]), "BB1001", 64), &["--file"]);
    says(
        &refused(&bridge.output(&["position", "/nowhere/status.txt"]), "BB1004", 65),
        &["/nowhere/status.txt"],
    );
    assert!(bridge.output(&["position", "--file", "x"]).status.code() == Some(64));

    bridge.store(here);
    let again = refused(&store(&bridge, &here.file, 4), "BB1006", 64);
    says(&again, &["--replace"]);
    assert_eq!(progress(&pair.target, "unset", "low_pos"), here.offset.to_string());
    let args = ["position", "--file", &here.file, "--offset", "4", "--replace"];
    assert!(bridge.output(&args).status.success());
    assert_eq!(progress(&pair.target, "unset", "low_pos"), "4");
    assert!(
        bridge.output(&["position", "--file", &here.file, "--offset", "4", "--dry-run"]).status.success()
    );
    says(&refused(&bridge.output(&["position", "--gtid-set", "nonsense"]), "BB1004", 65), &["nonsense"]);
    let set = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5";
    says(&refused(&bridge.output(&["position", "--gtid-set", set]), "BB3105", 78), &["GTID_MODE = OFF"]);
}

/// The source loses what was not read yet.
fn purged_while_running(pair: &Pair, bridge: &mut Bridge) {
    pair.source
        .sql("INSERT INTO app.u VALUES (4, 'z'); FLUSH BINARY LOGS; INSERT INTO app.u VALUES (5, 'z')");
    pair.source.sql(&format!("PURGE BINARY LOGS TO '{}'", pair.source.coordinates().file));
    says(&run_refused(bridge, "BB3101", 65), &["source", "retention"]);
    assert_eq!(pair.target.sql("SELECT MAX(id) FROM app.u"), "3");
}

/// The same files, another server_uuid.
fn another_source(pair: &Pair, mut bridge: Bridge) {
    let here = pair.source.coordinates();
    let args = ["position", "--file", &here.file, "--offset", &here.offset.to_string(), "--replace"];
    assert!(bridge.output(&args).status.success());
    bridge.run();
    bridge.wait_caught_up(&pair.source, LIMIT);
    pair.source.stop();
    std::fs::remove_file(pair.source.data_folder().join("auto.cnf")).unwrap();
    pair.source.start_again();
    pair.source.sql("INSERT INTO app.u VALUES (6, 'other')");
    let uuid = pair.source.sql("SELECT @@server_uuid");
    says(&ended(&mut bridge, "BB3104", 65), &[&uuid, "continue by GTID"]);
    says(&run_refused(&mut bridge, "BB3104", 65), &[&uuid]);
    assert_eq!(pair.target.sql("SELECT MAX(id) FROM app.u"), "3");
    bridge.options().set("source.accept_uuid", &format!("\"{uuid}\""));
    bridge.run();
    bridge.wait_caught_up(&pair.source, LIMIT);
    assert_eq!(pair.target.sql("SELECT MAX(id) FROM app.u"), "6");
    assert_eq!(bridge.stop().code(), Some(0));
}

#[test]
fn gtids_that_the_source_cannot_serve_and_server_ids_that_are_taken_are_refused() {
    let pair = Pair::start(ServerOptions { gtid: true, ..ServerOptions::new("source") });
    pair.both("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
    let uuid = pair.source.sql("SELECT @@server_uuid");
    pair.source.sql("INSERT INTO app.t VALUES (1); INSERT INTO app.t VALUES (2); FLUSH BINARY LOGS; INSERT INTO app.t VALUES (3)");
    pair.source.sql(&format!("PURGE BINARY LOGS TO '{}'", pair.source.coordinates().file));
    let set = |text: &str| format!("{uuid}:{text}");
    let bridge = Bridge::new(pair.options("gtids"));
    let position = |set: &str| bridge.output(&["position", "--gtid-set", set]);
    says(&refused(&position(&set("1")), "BB3101", 65), &["source", "retention"]);
    says(&refused(&position(&set("1-99")), "BB3102", 65), &["source"]);
    assert!(position(&set("1-2")).status.success());

    let mut bridge = bridge;
    pair.target.sql(&format!("UPDATE binbridge.progress SET low_gtid_set = '{}'", set("1")));
    says(&run_refused(&mut bridge, "BB3101", 65), &["source"]);
    pair.target.sql(&format!("UPDATE binbridge.progress SET low_gtid_set = '{}'", set("1-99")));
    says(&run_refused(&mut bridge, "BB3102", 65), &["source"]);
    assert_eq!(pair.target.sql("SELECT COUNT(*) FROM app.t"), "0");
    pair.target.sql(&format!("UPDATE binbridge.progress SET low_gtid_set = '{}'", set("1-2")));
    bridge.options().set("source.server_id", "77");
    bridge.run();
    bridge.wait_caught_up(&pair.source, LIMIT);
    assert_eq!(pair.target.sql("SELECT id FROM app.t"), "3");

    let mut second = Bridge::new(pair.options("second"));
    let own = pair.source.sql("SELECT @@server_id");
    for taken in [77, own.parse().unwrap()] {
        second.options().set("source.server_id", &taken.to_string());
        let said = refused(&second.output(&["position", "--gtid-set", &set("1-3")]), "BB3103", 78);
        says(&said, &[&taken.to_string(), "source.server_id"]);
    }
    second.options().set("source.server_id", "78");
    assert!(second.output(&["position", "--gtid-set", &set("1-3")]).status.success());
    second.options().set("source.server_id", "77");
    says(&run_refused(&mut second, "BB3103", 78), &["77"]);
    // The one that was there first is not disturbed.
    pair.source.sql("INSERT INTO app.t VALUES (4)");
    bridge.wait_caught_up(&pair.source, LIMIT);
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    assert!(!bridge.log().contains("level=warn"), "{}", bridge.log());
}

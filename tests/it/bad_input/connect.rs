//! Servers that cannot be reached, are none, or refuse.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;
use crate::support::{Account, Identity};

const NOBODY: Account = Account { user: "repl", password: "wrong-Secret" };

/// Answers every connection with these bytes and keeps it open until the client goes.
fn speaker(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let _ = stream.write_all(words);
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    port
}

fn at(start: &Coordinates) -> [String; 5] {
    ["position", "--file", &start.file, "--offset", &start.offset.to_string()].map(str::to_owned)
}

fn position(bridge: &Bridge, start: &Coordinates) -> Output {
    let args = at(start);
    bridge.output(&args.each_ref().map(String::as_str))
}

#[test]
fn servers_that_cannot_be_reached_or_refuse_are_told_apart() {
    let pair = Pair::start(ServerOptions::new("source"));
    let start = pair.source.coordinates();

    // These two wait for what may still come up; meanwhile the others.
    let mut waiting: Vec<(Bridge, &str, &str)> = Vec::new();
    for (end, host, code) in [
        ("source", "no-such-host.invalid", "BB2004"),
        ("target", "no-such-host.invalid", "BB2004"),
        ("source", "127.0.0.1", "BB2001"),
        ("target", "127.0.0.1", "BB2001"),
    ] {
        let name = format!("away-{end}-{code}");
        let mut bridge = Bridge::new(pair.options(&name));
        bridge.store(&start);
        bridge.options().set(&format!("{end}.host"), &format!("{host:?}"));
        if code == "BB2001" {
            let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            bridge.options().set(&format!("{end}.port"), &closed.to_string());
        }
        bridge.run();
        let said = refused(&position(&bridge, &start), code, 69);
        says(&said, &[host, "starting again is safe"]);
        waiting.push((bridge, end, code));
    }

    passwords_and_trust(&pair, &start);
    privileges(&pair, &start);
    no_mysql_servers(&pair, &start);

    for (mut bridge, end, code) in waiting {
        let began = Instant::now();
        let error = ended(&mut bridge, code, 69);
        says(&error, &[end]);
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    }
}

fn passwords_and_trust(pair: &Pair, start: &Coordinates) {
    let mut bridge = Bridge::new(pair.options("login"));
    bridge.store(start);
    let own_options = bridge.options().clone();
    for end in ["source", "target"] {
        *bridge.options() = own_options.clone();
        bridge.options().env(&format!("BINBRIDGE_TEST_{}_PASSWORD", end.to_uppercase()), NOBODY.password);
        let error = run_refused(&mut bridge, "BB3001", 77);
        says(&error, &[end, "1045", "127.0.0.1"]);
        let said = refused(&bridge.output(&at(start).each_ref().map(String::as_str)), "BB3001", 77);
        says(&said, &[end, "1045"]);

        *bridge.options() = own_options.clone();
        let other = pair.source.certificates().other_ca();
        bridge.options().set(&format!("{end}.ssl_ca"), &format!("{:?}", other.display().to_string()));
        says(&run_refused(&mut bridge, "BB2003", 78), &[end, "certificate"]);
        refused(&position(&bridge, start), "BB2003", 78);

        *bridge.options() = own_options.clone();
        bridge.options().set(&format!("{end}.ssl_ca"), "\"/nowhere/ca.pem\"");
        says(&run_refused(&mut bridge, "BB2003", 78), &[end, "/nowhere/ca.pem"]);

        *bridge.options() = own_options.clone();
        bridge.options().env.remove(&format!("BINBRIDGE_TEST_{}_PASSWORD", end.to_uppercase()));
        says(&run_refused(&mut bridge, "BB1003", 78), &["PASSWORD"]);
    }

    pair.source.restart_with(|options| options.identity = Identity::OtherName);
    *bridge.options() = own_options.clone();
    bridge.options().set("source.ssl_mode", "\"verify-identity\"");
    says(&run_refused(&mut bridge, "BB2003", 78), &["source", "name"]);
    refused(&position(&bridge, start), "BB2003", 78);
    pair.source.restart_with(|options| options.identity = Identity::None);
    bridge.options().set("source.ssl_mode", "\"required\"").keys.remove("source.ssl_ca");
    says(&run_refused(&mut bridge, "BB2003", 78), &["source", "TLS"]);
    pair.source.restart_with(|options| options.identity = Identity::Signed);
    // Azure insists on TLS.
    *bridge.options() = own_options;
    bridge.options().set("target.ssl_mode", "\"disabled\"").keys.remove("target.ssl_ca");
    says(&run_refused(&mut bridge, "BB2003", 78), &["target", "3159"]);
}

fn privileges(pair: &Pair, start: &Coordinates) {
    pair.source.sql(
        "SET sql_log_bin = 0; CREATE USER reader@`%` IDENTIFIED BY 'reader-Secret1'; GRANT SELECT ON *.* TO reader@`%`;
         CREATE USER client@`%` IDENTIFIED BY 'client-Secret1'; GRANT REPLICATION CLIENT ON *.* TO client@`%`;
         CREATE USER slave@`%` IDENTIFIED BY 'slave-Secret1'; GRANT REPLICATION SLAVE ON *.* TO slave@`%`;",
    );
    let mut bridge = Bridge::new(pair.options("source-grants"));
    bridge.store(start);
    for (user, password, missing) in [
        ("reader", "reader-Secret1", "REPLICATION SLAVE"),
        ("client", "client-Secret1", "REPLICATION SLAVE"),
        ("slave", "slave-Secret1", "REPLICATION CLIENT"),
    ] {
        bridge.options().end("source", pair.source.port(), Account { user, password }, Some(&pair.source));
        says(
            &refused(&position(&bridge, start), "BB3002", 77),
            &["source", "REPLICATION SLAVE", "REPLICATION CLIENT"],
        );
        if user != "slave" {
            says(&run_refused(&mut bridge, "BB3002", 77), &["source", missing]);
        }
    }

    pair.target.sql(
        "SET sql_log_bin = 0; CREATE USER `rows`@`%` IDENTIFIED BY 'rows-Secret1';
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, PROCESS, REPLICATION CLIENT ON *.* TO `rows`@`%`;
         CREATE USER few@`%` IDENTIFIED BY 'few-Secret1'; GRANT SESSION_VARIABLES_ADMIN ON *.* TO few@`%`;
         GRANT SELECT ON binbridge.* TO few@`%`",
    );
    let rows = Account { user: "rows", password: "rows-Secret1" };
    let mut bridge = Bridge::new(pair.options("target-grants"));
    bridge.store(start);
    bridge.options().end("target", pair.target.port(), rows, Some(&pair.target));
    let owner = progress(&pair.target, "target-grants", "epoch");
    says(&run_refused(&mut bridge, "BB3002", 77), &["target", "REPLICATION_APPLIER"]);
    says(&refused(&position(&bridge, start), "BB3002", 77), &["target", "REPLICATION_APPLIER"]);
    assert_eq!(progress(&pair.target, "target-grants", "epoch"), owner);

    let few = Account { user: "few", password: "few-Secret1" };
    bridge.options().end("target", pair.target.port(), few, Some(&pair.target));
    bridge.options().set("bridge.schema", "\"elsewhere\"");
    says(&refused(&position(&bridge, start), "BB3002", 77), &["target", "CREATE", "elsewhere"]);
    assert_eq!(pair.target.sql("SHOW DATABASES LIKE 'elsewhere'"), "");
    // May do everything but say which rows: what `BINLOG` needs is missing.
    pair.target.sql("SET sql_log_bin = 0; GRANT SESSION_VARIABLES_ADMIN ON *.* TO `rows`@`%`");
    let mut bridge = Bridge::new(pair.options("no-applier"));
    bridge.options().end("target", pair.target.port(), rows, Some(&pair.target));
    bridge.store(start);
    // The source was started anew since the pair's own connection was made.
    for server in [&pair.source, &pair.target] {
        server.sql("SET sql_log_bin = 0; CREATE DATABASE IF NOT EXISTS app; CREATE TABLE app.seen (id INT PRIMARY KEY)");
    }
    pair.source.sql("INSERT INTO app.seen VALUES (1)");
    says(&run_refused(&mut bridge, "BB3002", 77), &["target", "REPLICATION_APPLIER"]);
    assert_eq!(pair.target.sql("SELECT COUNT(*) FROM app.seen"), "0");
    assert_eq!(progress(&pair.target, "no-applier", "seq"), "0");
}

fn no_mysql_servers(pair: &Pair, start: &Coordinates) {
    let http = speaker(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n");
    let ssh = speaker(b"SSH-2.0-OpenSSH_9.7\r\n");
    // A greeting, then nonsense for the answer to the login.
    let half = speaker(
        b"\x4a\x00\x00\x00\x0a9.7.4\x00\x08\x00\x00\x00abcdefgh\x00\xff\xf7\xff\x02\x00\xff\xdf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abcdefghijkl\x00caching_sha2_password\x00\x05\x00\x00\x02\x7fnono",
    );
    let silent = speaker(b"");
    let mut bridge = Bridge::new(pair.options("none"));
    bridge.store(start);
    let own = bridge.options().clone();
    for end in ["source", "target"] {
        for (port, code, exit) in [(http, "BB9001", 70), (ssh, "BB9001", 70), (half, "BB9001", 70)] {
            *bridge.options() = own.clone();
            bridge
                .options()
                .set(&format!("{end}.port"), &port.to_string())
                .keys
                .remove(&format!("{end}.ssl_ca"));
            bridge.options().set(&format!("{end}.ssl_mode"), "\"preferred\"");
            says(&run_refused(&mut bridge, code, exit), &[end, "MySQL server"]);
            if end == "source" {
                says(&refused(&position(&bridge, start), code, exit), &[end]);
            }
        }
        *bridge.options() = own.clone();
        bridge.options().set(&format!("{end}.port"), &silent.to_string());
        bridge.options().set(&format!("{end}.connect_timeout"), "\"1s\"");
        says(&refused(&position(&bridge, start), "BB2001", 69), &[end, "no login"]);
    }
    assert_eq!(progress(&pair.target, "none", "seq"), "0");
}

//! What blocks a start is found before it, and nothing else is: each condition alone, on real servers.

use std::process::Output;
use std::time::Duration;

use crate::support::{
    ADMIN, AZADMIN, Account, Bridge, BridgeOptions, REPL, RdsLike, Server, ServerOptions, azure_like,
    azure_options, dump_restore, rds_like, rds_options,
};

const LIMIT: Duration = Duration::from_secs(60);

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// `binbridge check` finds nothing.
#[track_caller]
fn is_clean(bridge: &Bridge) -> String {
    let output = bridge.output(&["check"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ok: ") && !said.contains("stop: "), "{said}");
    said
}

/// `binbridge check` names one thing with code, exit code and these words, and `binbridge run` refuses for it.
#[track_caller]
fn refuses(bridge: &mut Bridge, code: &str, exit: i32, words: &[&str]) {
    let output = bridge.output(&["check"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    let stops: Vec<&str> = said.lines().filter(|line| line.starts_with("stop: ")).collect();
    assert!(stops.len() == 1 && stops[0].contains(&format!("{code}: ")), "{said}");
    assert!(said.contains("remedy: "), "{said}");
    bridge.run();
    let status = bridge.wait_ended(LIMIT);
    let log = bridge.log().replace("\\'", "'").replace("\\\"", "\"");
    std::fs::remove_file(bridge.log_path()).unwrap();
    assert_eq!(status.code(), Some(exit), "{log}");
    assert!(log.contains(&format!("level=error target=binbridge::cli::run message=\"{code}: ")), "{log}");
    for word in words {
        assert!(said.contains(word) && log.contains(word), "{word}\n{said}\n{log}");
    }
    assert!(!log.contains("going on from"), "it had begun:\n{log}");
}

/// The bridge starts, applies, and ends.
#[track_caller]
fn runs(bridge: &mut Bridge, source: &Server) {
    bridge.run();
    bridge.wait_caught_up(source, LIMIT);
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    std::fs::remove_file(bridge.log_path()).unwrap();
}

const SHOP: &str = "CREATE DATABASE Shop; CREATE TABLE Shop.Orders (id INT PRIMARY KEY, v DECIMAL(8,2), t TIMESTAMP(3) NULL, \
    e ENUM('x','y'), s VARCHAR(20) CHARACTER SET latin1, KEY (v)); CREATE TABLE Shop.log (line TEXT); \
    CREATE TABLE Shop.parts (id INT UNSIGNED, PRIMARY KEY (id)) PARTITION BY HASH (id) PARTITIONS 2";

/// An RDS-like source, and an Azure-like target with a copy of its tables.
fn copied(gtid: bool) -> (RdsLike, Server) {
    let source = RdsLike::start(ServerOptions { gtid, ..rds_options("source", "ROW") });
    let target = Server::start(ServerOptions { gtid, ..azure_options("target") });
    source.sql(SHOP);
    dump_restore(&source, &target, &["Shop"]);
    (source, target)
}

#[test]
fn nothing_is_found_on_a_clean_pair_whatever_the_accounts_can_see() {
    let (source, target) = copied(true);
    source.sql("CALL mysql.rds_set_configuration('binlog retention hours', 24); FLUSH BINARY LOGS");
    for (account, workers, native) in [(REPL, 1, false), (ADMIN, 2, false), (ADMIN, 1, true)] {
        let mut options = BridgeOptions::new(&source, &target);
        options.end("source", source.port(), account, Some(&source));
        options.set("apply.workers", &workers.to_string());
        options.set("bridge.name", &format!("\"clean-{}-{native}\"", account.user));
        if workers == 2 {
            options.set("apply.gtid", "\"preserve\"");
        }
        let mut bridge = Bridge::new(options);
        let unset = is_clean(&bridge);
        assert!(unset.contains("no position is stored yet"), "{unset}");
        bridge.store(&source.coordinates());
        source.sql("FLUSH BINARY LOGS");
        if native {
            // Beside a channel that is stopped.
            point(&source, &target);
        }
        let said = is_clean(&bridge);
        assert_eq!(said.contains("sees no tables on the source"), account == REPL, "{said}");
        runs(&mut bridge, &source);
    }
}

/// Gives the target a native channel that does not run.
fn point(source: &Server, target: &Server) {
    let at = source.coordinates();
    let ca = std::fs::read_to_string(target.ca_path()).unwrap();
    let call = format!(
        "CALL mysql.az_replication_change_master('127.0.0.1', '{}', '{}', {}, '{}', {}, '{ca}')",
        REPL.user,
        REPL.password,
        source.port(),
        at.file,
        at.offset
    );
    target.sql_as(AZADMIN, &call).unwrap();
}

#[test]
fn a_right_that_the_account_lacks_is_named_with_its_grant_before_any_row_comes() {
    let (source, target) = (rds_like("source", "ROW"), azure_like("target"));
    target.sql(
        "SET sql_log_bin = 0; CREATE USER mover@`%` IDENTIFIED BY 'mover-Secret1';
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, PROCESS, REPLICATION CLIENT ON *.* TO mover@`%`;
         GRANT SESSION_VARIABLES_ADMIN ON *.* TO mover@`%`",
    );
    let mover = Account { user: "mover", password: "mover-Secret1" };
    let mut options = BridgeOptions::new(&source, &target);
    options.end("target", target.port(), mover, Some(&target));
    let mut bridge = Bridge::new(options);
    bridge.store(&source.coordinates());
    refuses(
        &mut bridge,
        "BB3002",
        77,
        &["target 127.0.0.1", "GRANT REPLICATION_APPLIER ON *.* TO 'mover'@'%'"],
    );
    target.sql("SET sql_log_bin = 0; GRANT REPLICATION_APPLIER ON *.* TO mover@`%`");
    is_clean(&bridge);
    // Beside a native channel it must be able to move that.
    point(&source, &target);
    let output = bridge.output(&["check"]);
    assert_eq!(output.status.code(), Some(77));
    let missing = said(&output);
    for procedure in ["stop", "start", "remove_master", "change_master", "change_master_with_gtid"] {
        let grant = format!("GRANT EXECUTE ON PROCEDURE mysql.az_replication_{procedure} TO 'mover'@'%'");
        assert!(missing.contains(&grant), "{missing}");
        target.sql(&format!("SET sql_log_bin = 0; {}", grant.replace("'mover'@'%'", "mover@`%`")));
    }
    is_clean(&bridge);
    runs(&mut bridge, &source);
    bridge.options().set("native.dialect", "\"vanilla\"");
    assert!(is_clean(&bridge).contains("GRANT REPLICATION_SLAVE_ADMIN ON *.* TO 'mover'@'%'"));
    // Who may call everything is told what is not there.
    bridge.options().end("target", target.port(), AZADMIN, Some(&target)).set("native.dialect", "\"rds\"");
    let output = bridge.output(&["check"]);
    assert!(said(&output).contains("is native.dialect right (rds)?"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(65));
}

#[test]
fn a_binlog_that_would_be_purged_before_it_is_read_is_told_in_time() {
    let (source, target) = (rds_like("source", "ROW"), azure_like("target"));
    // RDS's own setting is seen by whoever may ask for it.
    source.sql("SET sql_log_bin = 0; GRANT EXECUTE ON PROCEDURE mysql.rds_show_configuration TO repl@`%`");
    let mut bridge = Bridge::new(BridgeOptions::new(&source, &target));
    bridge.store(&source.coordinates());
    let remedy = "CALL mysql.rds_set_configuration('binlog retention hours', 168)";
    refuses(&mut bridge, "BB3107", 65, &["source 127.0.0.1", "'binlog retention hours' is not set", remedy]);
    source.sql("CALL mysql.rds_set_configuration('binlog retention hours', 24)");
    is_clean(&bridge);
    runs(&mut bridge, &source);

    // Elsewhere the server's.
    source.sql("SET sql_log_bin = 0; REVOKE EXECUTE ON PROCEDURE mysql.rds_show_configuration FROM repl@`%`");
    source.sql("CREATE DATABASE app; FLUSH BINARY LOGS; SET GLOBAL binlog_expire_logs_seconds = 1");
    std::thread::sleep(Duration::from_secs(2));
    refuses(&mut bridge, "BB3107", 65, &["binlog_expire_logs_seconds is 1", "the bridge goes on from"]);
    bridge.options().set("bridge.despite", "[\"BB3107\"]");
    assert!(is_clean(&bridge).contains("in spite of BB3107"));
    runs(&mut bridge, &source);
    bridge.options().keys.remove("bridge.despite");
    // The file that the source writes is never purged.
    is_clean(&bridge);
}

#[test]
fn tables_that_do_not_fit_are_named_at_the_first_start_and_are_notes_later() {
    let (source, target) = copied(false);
    source.sql("CALL mysql.rds_set_configuration('binlog retention hours', 24)");
    let mut options = BridgeOptions::new(&source, &target);
    options.end("source", source.port(), ADMIN, Some(&source));
    let mut bridge = Bridge::new(options);
    bridge.store(&source.coordinates());
    is_clean(&bridge);
    target.sql("SET sql_log_bin = 0; RENAME TABLE shop.log TO shop.gone");
    refuses(&mut bridge, "BB4001", 65, &["not on the target: Shop.log (shop.log there)", "bridge.despite"]);
    target.sql("SET sql_log_bin = 0; RENAME TABLE shop.gone TO shop.log; ALTER TABLE shop.orders MODIFY v DECIMAL(9,2)");
    let words = ["Shop.Orders", "column 2: v decimal", "8,2", "9,2"];
    refuses(&mut bridge, "BB4001", 65, &words);
    bridge.options().set("bridge.despite", "[\"BB4001\"]");
    is_clean(&bridge);
    bridge.options().keys.remove("bridge.despite");
    target.sql("SET sql_log_bin = 0; ALTER TABLE shop.orders MODIFY v DECIMAL(8,2); ALTER TABLE shop.log ENGINE = MyISAM");
    refuses(&mut bridge, "BB4001", 65, &["not InnoDB", "Shop.log"]);
    target.sql("SET sql_log_bin = 0; ALTER TABLE shop.log ENGINE = InnoDB");
    source.sql("SET sql_log_bin = 0; CREATE TABLE Shop.ORDERS LIKE Shop.Orders");
    refuses(&mut bridge, "BB4001", 65, &["share one name", "shop.orders"]);
    bridge.options().set("filter.exclude", "[\"Shop.ORDERS\"]");
    is_clean(&bridge);
    bridge.options().keys.remove("filter.exclude");
    source.sql("SET sql_log_bin = 0; DROP TABLE Shop.ORDERS");
    runs(&mut bridge, &source);

    // Once something was applied, a statement on its way may mend what does not fit.
    source.sql("INSERT INTO Shop.log VALUES ('x')");
    runs(&mut bridge, &source);
    source.sql("CREATE TABLE Shop.later (id INT PRIMARY KEY)");
    let said = is_clean(&bridge);
    assert!(said.contains("Shop.later (shop.later there) (a statement"), "{said}");
    runs(&mut bridge, &source);
    assert!(!is_clean(&bridge).contains("later"));
}

#[test]
fn settings_that_cannot_work_together_are_told() {
    let source = Server::start(ServerOptions::new("source"));
    let id = source.sql("SELECT @@server_id").parse().unwrap();
    let target = Server::start(ServerOptions { server_id: id, ..azure_options("target") });
    let mut bridge = Bridge::new(BridgeOptions::new(&source, &target));
    bridge.store(&source.coordinates());
    bridge.options().set("apply.gtid", "\"preserve\"");
    refuses(&mut bridge, "BB3105", 78, &["source 127.0.0.1", "gtid_mode is not ON on the source"]);
    bridge.options().keys.remove("apply.gtid");
    // Equal server ids are no matter to the bridge itself.
    source.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY); INSERT INTO app.t VALUES (1)");
    is_clean(&bridge);
    runs(&mut bridge, &source);
    assert_eq!(target.sql("SELECT COUNT(*) FROM app.t"), "1");
    point(&source, &target);
    refuses(&mut bridge, "BB3103", 78, &["same server_id", "hand back"]);
}

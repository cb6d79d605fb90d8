//! Signals, and filters with which only the position advances.

use super::*;
use crate::support::{APP, rds_like};

#[test]
fn a_signal_drains_and_a_second_one_does_not_wait() {
    let pair = Pair::start(ServerOptions::new("source"));
    pair.both("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
    for (n, name) in ["TERM", "INT"].into_iter().enumerate() {
        let mut bridge = pair.bridge_from_here(name);
        bridge.run();
        bridge.wait_log("streaming from source", LIMIT);
        // What is in flight is finished: the commit waits for a row that somebody holds.
        let id = n * 10;
        let mut holder = pair.target.session().unwrap();
        holder.run(&format!("BEGIN; INSERT INTO app.t VALUES ({id})")).unwrap();
        pair.source.sql(&format!("INSERT INTO app.t VALUES ({id})"));
        let waiting =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'BINLOG%' AND time >= 1";
        wait_until("the bridge waits for the row", LIMIT, || pair.target_sql(waiting) == "1");
        bridge.signal(name);
        bridge.wait_log("stopping", LIMIT);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(bridge.ended(), None);
        holder.run("ROLLBACK").unwrap();
        assert_eq!(bridge.wait_ended(LIMIT).code(), Some(0), "{}", bridge.log());
        let end = pair.source.coordinates();
        says(&bridge.log(), &["stopped; the target is durable", &end.to_string()]);
        compare(&pair.source, &pair.target, &["app"]).unwrap();

        // A second signal: nothing is lost, it is applied at the next start.
        bridge.run();
        bridge.wait_caught_up(&pair.source, LIMIT);
        holder.run(&format!("BEGIN; INSERT INTO app.t VALUES ({id} + 1)")).unwrap();
        pair.source.sql(&format!("INSERT INTO app.t VALUES ({id} + 1)"));
        wait_until("the bridge waits for the row", LIMIT, || pair.target_sql(waiting) == "1");
        bridge.signal(name);
        wait_until("it drains", LIMIT, || bridge.log().matches("stopping").count() == 2);
        bridge.signal(name);
        let began = Instant::now();
        assert_eq!(bridge.wait_ended(LIMIT).code(), Some(75), "{}", bridge.log());
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        holder.run("ROLLBACK").unwrap();
        bridge.options().set("shutdown.grace", "\"1s\"");
        bridge.run();
        bridge.wait_caught_up(&pair.source, LIMIT);
        compare(&pair.source, &pair.target, &["app"]).unwrap();
        // Nor for ever.
        holder.run(&format!("BEGIN; INSERT INTO app.t VALUES ({id} + 2)")).unwrap();
        pair.source.sql(&format!("INSERT INTO app.t VALUES ({id} + 2)"));
        wait_until("the bridge waits for the row", LIMIT, || pair.target_sql(waiting) == "1");
        assert_eq!(bridge.stop().code(), Some(75), "{}", bridge.log());
        holder.run("ROLLBACK").unwrap();
        bridge.run();
        bridge.wait_caught_up(&pair.source, LIMIT);
        compare(&pair.source, &pair.target, &["app"]).unwrap();
        assert_eq!(bridge.stop().code(), Some(0));
        assert!(!bridge.log().contains("level=error"), "{}", bridge.log());
    }
}

#[test]
fn a_signal_ends_a_bridge_that_still_looks_for_its_servers() {
    let pair = Pair::start(ServerOptions::new("source"));
    for end in ["source", "target"] {
        let mut bridge = Bridge::new(pair.options(end));
        bridge.store(&pair.source.coordinates());
        bridge.options().set(&format!("{end}.host"), "\"no-such-host.invalid\"");
        bridge.run();
        bridge.wait_log("BB2004", LIMIT);
        let began = Instant::now();
        let status = bridge.stop();
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        assert!(matches!(status.code(), Some(0 | 69 | 75)), "{status}: {}", bridge.log());
    }
}

#[test]
fn filtered_and_renamed_tables_go_where_they_should_while_heartbeats_only_move_the_position() {
    let source = rds_like("source", "ROW");
    let target = Server::start(azure_options("target"));
    let start = source.coordinates();
    source.sql_as(APP, "
        CREATE DATABASE Shop; CREATE DATABASE hr; CREATE DATABASE tmp_x;
        CREATE TABLE Shop.Orders (id INT PRIMARY KEY, v INT); CREATE TABLE Shop.secret (id INT); CREATE TABLE Shop.`Big Table` (id INT PRIMARY KEY);
        CREATE TABLE hr.people (id INT PRIMARY KEY); CREATE TABLE tmp_x.t (id INT)").unwrap();
    let start_rows = source.coordinates();
    target.sql_as(AZADMIN, "
        CREATE DATABASE shop; CREATE DATABASE crew;
        CREATE TABLE shop.orders (id INT PRIMARY KEY, v INT); CREATE TABLE crew.staff (id INT PRIMARY KEY); CREATE TABLE crew.`big table` (id INT PRIMARY KEY)").unwrap();
    source.sql_as(APP, "
        BEGIN; INSERT INTO Shop.Orders VALUES (1, 1), (2, 2); INSERT INTO Shop.secret VALUES (7); INSERT INTO hr.people VALUES (1); INSERT INTO tmp_x.t VALUES (1); COMMIT;
        UPDATE Shop.Orders SET v = 3 WHERE id = 2; DELETE FROM Shop.secret; INSERT INTO Shop.`Big Table` VALUES (5); INSERT INTO tmp_x.t VALUES (2)").unwrap();
    let mut options = named(&source, &target, "filters");
    options.set("filter.include", "[\"Shop.*\", \"hr.people\"]").set("filter.exclude", "[\"Shop.secret\"]");
    options
        .set("filter.rename", "{ \"hr.people\" = \"crew.Staff\", \"Shop.Big Table\" = \"crew.Big Table\" }");
    let mut bridge = Bridge::started(options, &start_rows);
    bridge.wait_caught_up(&source, LIMIT);
    assert_eq!(target.sql("SELECT id, v FROM shop.orders"), "1\t1\n2\t3");
    assert_eq!(target.sql("SELECT * FROM crew.staff UNION ALL SELECT * FROM crew.`big table`"), "1\n5");
    assert_eq!(target.sql("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema IN ('shop', 'crew', 'hr', 'tmp_x')"), "3");
    assert_eq!(target.sql("SHOW TABLES IN mysql LIKE 'rds%'"), "");

    // Nothing but heartbeats: the position follows them, on the target too.
    let place = |bridge: &Bridge| bridge.status().map(|status| status["position"]["applied"].to_string());
    let stored = || progress(&target, "filters", "low_pos").parse::<u64>().unwrap();
    let (before, stored_before) = (place(&bridge), stored());
    wait_until("the position follows the heartbeats", LIMIT, || {
        place(&bridge) != before && stored() > stored_before
    });
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    assert!(start < start_rows);
}

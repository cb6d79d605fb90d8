//! Targets whose tables or rows are not what the source's changes expect: everything before the failing transaction is
//! applied, nothing of it or after it, and once mended the bridge goes on.

use super::*;

/// A transaction of the source that the target cannot take.
struct Case {
    name: &'static str,
    /// On both ends before the start position; `@` stands for the case's schema.
    both: &'static str,
    /// On the target only.
    spoilt: &'static str,
    /// On the source, in one transaction or as one statement.
    bad: &'static str,
    code: &'static str,
    /// In the error, besides schema and position.
    words: &'static [&'static str],
    /// On the target, before the bridge starts again.
    mend: &'static str,
}

const ROWS: &str = "CREATE TABLE @.t (id INT PRIMARY KEY, v INT UNIQUE, w VARCHAR(20) CHARACTER SET latin1);
                    INSERT INTO @.t VALUES (1, 1, 'one'), (2, 2, 'two')";

const CASES: &[Case] = &[
    Case {
        name: "update_missing",
        both: ROWS,
        spoilt: "DELETE FROM @.t WHERE id = 2",
        bad: "BEGIN; UPDATE @.t SET w = 'x' WHERE id = 1; UPDATE @.t SET v = 22 WHERE id = 2; COMMIT",
        code: "BB4002",
        words: &["1032", ".t"],
        mend: "INSERT INTO @.t VALUES (2, 2, 'two')",
    },
    Case {
        name: "delete_missing",
        both: ROWS,
        spoilt: "DELETE FROM @.t WHERE id = 2",
        bad: "DELETE FROM @.t",
        code: "BB4002",
        words: &["1032", ".t"],
        mend: "INSERT INTO @.t VALUES (2, 2, 'two')",
    },
    Case {
        name: "missing_without_key",
        both: "CREATE TABLE @.t (a INT, b VARCHAR(9)); INSERT INTO @.t VALUES (1, 'x'), (2, 'y')",
        spoilt: "UPDATE @.t SET b = 'other' WHERE a = 2",
        bad: "DELETE FROM @.t WHERE a = 2",
        code: "BB4002",
        words: &["1032", ".t"],
        mend: "UPDATE @.t SET b = 'y' WHERE a = 2",
    },
    Case {
        name: "duplicate",
        both: ROWS,
        spoilt: "INSERT INTO @.t VALUES (3, 3, 'three')",
        bad: "BEGIN; DELETE FROM @.t WHERE id = 1; INSERT INTO @.t VALUES (3, 33, 'drei'); COMMIT",
        code: "BB4003",
        words: &["1062", ".t"],
        mend: "DELETE FROM @.t WHERE id = 3",
    },
    Case {
        name: "duplicate_secondary",
        both: ROWS,
        spoilt: "INSERT INTO @.t VALUES (9, 3, 'nine')",
        bad: "INSERT INTO @.t VALUES (3, 3, 'three')",
        code: "BB4003",
        words: &["1062", ".t"],
        mend: "DELETE FROM @.t WHERE id = 9",
    },
    Case {
        name: "no_parent",
        both: "CREATE TABLE @.p (id INT PRIMARY KEY); CREATE TABLE @.c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES @.p (id));
               INSERT INTO @.p VALUES (1), (2)",
        spoilt: "DELETE FROM @.p WHERE id = 2",
        bad: "INSERT INTO @.c VALUES (1, 1), (2, 2)",
        code: "BB4004",
        words: &["1452", ".c"],
        mend: "INSERT INTO @.p VALUES (2)",
    },
    Case {
        name: "table_missing",
        both: ROWS,
        spoilt: "DROP TABLE @.t",
        bad: "INSERT INTO @.t VALUES (3, 3, 'x')",
        code: "BB4001",
        words: &[".t is not on the target"],
        mend: ROWS,
    },
    Case {
        name: "column_more",
        both: ROWS,
        spoilt: "ALTER TABLE @.t ADD COLUMN more INT",
        bad: "INSERT INTO @.t VALUES (3, 3, 'x')",
        code: "BB4001",
        words: &[".t", "3 columns, the target's 4"],
        mend: "ALTER TABLE @.t DROP COLUMN more",
    },
    Case {
        name: "column_fewer",
        both: ROWS,
        spoilt: "ALTER TABLE @.t DROP COLUMN w",
        bad: "UPDATE @.t SET w = 'z'",
        code: "BB4001",
        words: &[".t", "3 columns, the target's 2"],
        mend: "ALTER TABLE @.t ADD COLUMN w VARCHAR(20) CHARACTER SET latin1; UPDATE @.t SET w = 'one' WHERE id = 1; UPDATE @.t SET w = 'two' WHERE id = 2",
    },
    Case {
        name: "sign",
        both: ROWS,
        spoilt: "ALTER TABLE @.t MODIFY v INT UNSIGNED",
        bad: "INSERT INTO @.t VALUES (3, -3, 'x')",
        code: "BB4001",
        words: &[".t", "column 2 (v)", "unsigned on the target"],
        mend: "ALTER TABLE @.t MODIFY v INT",
    },
    Case {
        name: "charset",
        both: ROWS,
        spoilt: "ALTER TABLE @.t MODIFY w VARCHAR(20) CHARACTER SET utf8mb4",
        bad: "INSERT INTO @.t VALUES (3, 3, 'é')",
        code: "BB4001",
        words: &[".t", "column 3 (w)", "latin1 on the source, utf8mb4 on the target"],
        mend: "ALTER TABLE @.t MODIFY w VARCHAR(20) CHARACTER SET latin1",
    },
    Case {
        name: "kind",
        both: ROWS,
        spoilt: "DELETE FROM @.t; ALTER TABLE @.t MODIFY v DATETIME, MODIFY w VARCHAR(2) CHARACTER SET latin1",
        bad: "INSERT INTO @.t VALUES (3, 3, 'long')",
        code: "BB4001",
        words: &[".t", "type or length"],
        mend: "DROP TABLE @.t; CREATE TABLE @.t (id INT PRIMARY KEY, v INT UNIQUE, w VARCHAR(20) CHARACTER SET latin1);
               INSERT INTO @.t VALUES (1, 1, 'one'), (2, 2, 'two')",
    },
    Case {
        name: "engine",
        both: ROWS,
        spoilt: "ALTER TABLE @.t ENGINE = MyISAM",
        bad: "INSERT INTO @.t VALUES (3, 3, 'x')",
        code: "BB4001",
        words: &[".t", "MyISAM"],
        mend: "ALTER TABLE @.t ENGINE = InnoDB",
    },
    Case {
        name: "ddl_exists",
        both: ROWS,
        spoilt: "CREATE TABLE @.n (x INT)",
        bad: "USE @; CREATE TABLE n (id INT PRIMARY KEY)",
        code: "BB4001",
        words: &["1050", "already exists"],
        mend: "DROP TABLE @.n",
    },
    Case {
        name: "ddl_missing",
        both: ROWS,
        spoilt: "ALTER TABLE @.t DROP COLUMN w",
        bad: "USE @; ALTER TABLE t CHANGE w ww VARCHAR(30) CHARACTER SET latin1",
        code: "BB4001",
        words: &["1054"],
        mend: "ALTER TABLE @.t ADD COLUMN w VARCHAR(20) CHARACTER SET latin1; UPDATE @.t SET w = 'one' WHERE id = 1; UPDATE @.t SET w = 'two' WHERE id = 2",
    },
    Case {
        name: "ddl_row",
        both: ROWS,
        spoilt: "UPDATE @.t SET w = 'two' WHERE id = 1",
        bad: "USE @; ALTER TABLE t ADD UNIQUE (w)",
        code: "BB4003",
        words: &["1062", "'t.w'"],
        mend: "UPDATE @.t SET w = 'one' WHERE id = 1",
    },
    Case {
        name: "statement_missing",
        both: ROWS,
        spoilt: "DROP TABLE @.t",
        bad: "USE @; SET SESSION binlog_format = 'STATEMENT'; UPDATE t SET w = 'st' WHERE id = 1",
        code: "BB4001",
        words: &["1146"],
        mend: ROWS,
    },
    Case {
        name: "statement_duplicate",
        both: ROWS,
        spoilt: "INSERT INTO @.t VALUES (3, 3, 'three')",
        bad: "USE @; SET SESSION binlog_format = 'STATEMENT'; INSERT INTO t VALUES (3, 33, 'drei')",
        code: "BB4003",
        words: &["1062"],
        mend: "DELETE FROM @.t WHERE id = 3",
    },
];

#[test]
fn what_the_target_cannot_take_stops_the_bridge_there_and_goes_on_once_mended() {
    for gtid in [false, true] {
        let pair = Pair::with_target(
            ServerOptions::new("source"),
            ServerOptions { gtid, ..azure_options("target") },
        );
        let some = |case: &&Case| !gtid || case.name.starts_with("ddl") || case.name.starts_with("dup");
        for case in CASES.iter().filter(some) {
            eprintln!("{}", case.name);
            case.run(&pair);
        }
    }
}

impl Case {
    fn run(&self, pair: &Pair) {
        let sql = |text: &str| text.replace('@', self.name);
        let name = self.name;
        pair.both(&format!(
            "CREATE DATABASE {name}; CREATE TABLE {name}.ok (id INT PRIMARY KEY); {}",
            sql(self.both)
        ));
        pair.target_sql(&sql(self.spoilt));
        let start = pair.end();
        pair.source_sql(&format!("INSERT INTO {name}.ok VALUES (1); INSERT INTO {name}.ok VALUES (2)"));
        let bad = pair.end();
        pair.source_sql(&sql(self.bad));
        pair.source_sql(&format!(
            "SET SESSION binlog_format = DEFAULT; INSERT INTO {name}.ok VALUES (3); INSERT INTO {name}.ok VALUES (4)"
        ));
        let before = self.checksums(pair);
        let mut bridge = Bridge::new(pair.options(name));
        bridge.store(&start);

        for _ in 0..2 {
            let error = run_refused(&mut bridge, self.code, 65);
            says(&error, self.words);
            says(&error, &[&format!("transaction 3 at {bad}"), name]);
            for value in ["drei", "'x'", "long", "three", "'two'", "é"] {
                assert!(!error.contains(value), "a row's value is shown: {error}");
            }
            assert_eq!(
                pair.target_sql(&format!("SELECT GROUP_CONCAT(id ORDER BY id) FROM {name}.ok")),
                "1,2"
            );
            let progress = pair.target_sql(&format!(
                "SELECT CONCAT_WS(' ', seq, low_seq, low_file, low_pos, done) FROM binbridge.progress WHERE bridge = '{name}'"
            ));
            assert_eq!(progress, format!("2 2 {} {} ", bad.file, bad.offset));
            assert_eq!(self.checksums(pair), before);
        }
        pair.target_sql(&sql(self.mend));
        bridge.run();
        bridge.wait_caught_up(&pair.source, LIMIT);
        compare(&pair.source, &pair.target, &[name]).unwrap();
        assert_eq!(bridge.stop().code(), Some(0));
    }

    /// Of all tables that the good transactions do not touch.
    fn checksums(&self, pair: &Pair) -> String {
        let tables = pair.target_sql(&format!(
            "SELECT GROUP_CONCAT('{0}.', table_name ORDER BY 1) FROM information_schema.tables WHERE table_schema = '{0}' AND table_name <> 'ok'",
            self.name
        ));
        if tables == "NULL" { tables } else { pair.target_sql(&format!("CHECKSUM TABLE {tables}")) }
    }
}

#[test]
fn a_target_that_is_read_only_or_replicates_by_itself_is_left_alone() {
    let pair = Pair::start(ServerOptions::new("source"));
    pair.both("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
    let mut bridge = pair.bridge_from_here("shut");
    pair.source.sql("INSERT INTO app.t VALUES (1)");
    bridge.run();
    bridge.wait_caught_up(&pair.source, LIMIT);
    for variable in ["read_only", "super_read_only"] {
        pair.target.sql(&format!("SET GLOBAL {variable} = ON"));
        let error = if variable == "read_only" {
            pair.source.sql("INSERT INTO app.t VALUES (2)");
            ended(&mut bridge, "BB4005", 69)
        } else {
            run_refused(&mut bridge, "BB4005", 69)
        };
        says(&error, &["1290", "read_only off"]);
        says(&run_refused(&mut bridge, "BB4005", 69), &["target"]);
        let here = pair.source.coordinates();
        let offset = here.offset.to_string();
        let args = ["position", "--replace", "--file", &here.file, "--offset", &offset];
        says(&refused(&bridge.output(&args), "BB4005", 69), &["target"]);
        assert_eq!(pair.target.sql("SELECT COUNT(*) FROM app.t"), "1");
        assert_eq!(progress(&pair.target, "shut", "seq"), "1");
        pair.target.sql("SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF");
    }
    bridge.run();
    bridge.wait_caught_up(&pair.source, LIMIT);
    assert_eq!(bridge.stop().code(), Some(0));

    let here = crate::support::Start::At(pair.source.coordinates());
    crate::support::replicate(&pair.target, pair.source.port(), &here);
    wait_until("the native applier runs", LIMIT, || {
        pair.target.replica_status().get("Replica_SQL_Running").is_some_and(|running| running == "Yes")
    });
    says(&run_refused(&mut bridge, "BB4011", 69), &["target", "az_replication_stop"]);
    pair.target.sql_as(AZADMIN, "CALL mysql.az_replication_stop").unwrap();
    bridge.run();
    bridge.wait_caught_up(&pair.source, LIMIT);
    compare(&pair.source, &pair.target, &["app"]).unwrap();
    // Another of the same name takes over from one that is silent; the first one stops and says why.
    let mut other = Bridge::new(pair.options("shut"));
    other.run();
    other.wait_log("standing by", LIMIT);
    bridge.signal("STOP");
    pair.source.sql("INSERT INTO app.t VALUES (3)");
    other.wait_caught_up(&pair.source, LIMIT);
    bridge.signal("CONT");
    says(&ended(&mut bridge, "BB4008", 69), &["taken over"]);
    other.wait_caught_up(&pair.source, LIMIT);
    compare(&pair.source, &pair.target, &["app"]).unwrap();
    // Someone edits what is ours.
    pair.target.sql("UPDATE binbridge.progress SET seq = seq + 1 WHERE bridge = 'shut'");
    pair.source.sql("INSERT INTO app.t VALUES (4)");
    says(&ended(&mut other, "BB4012", 65), &["progress row"]);
    // Its row stood in the same statement as the record that was refused.
    assert_eq!(pair.target.sql("SELECT MAX(id) FROM app.t"), "3");
    pair.target.sql("UPDATE binbridge.progress SET seq = seq - 1, done = 'x' WHERE bridge = 'shut'");
    says(&run_refused(&mut other, "BB4012", 65), &["progress row"]);
    pair.target.sql("UPDATE binbridge.progress SET done = '' WHERE bridge = 'shut'");
    other.run();
    other.wait_caught_up(&pair.source, LIMIT);
    compare(&pair.source, &pair.target, &["app"]).unwrap();
    pair.target.sql("DELETE FROM binbridge.progress WHERE bridge = 'shut'");
    pair.source.sql("INSERT INTO app.t VALUES (5)");
    says(&ended(&mut other, "BB4012", 65), &["progress row"]);
    assert_eq!(pair.target.sql("SELECT MAX(id) FROM app.t"), "4");
}

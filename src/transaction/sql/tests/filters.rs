//! With filters.

use super::*;

/// Statements, each about `shop.t` alone, in which `shop` is the default database.
const ABOUT_T: [&str; 76] = [
    "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO t () VALUES ()",
    "INSERT IGNORE t (a, b) VALUE (DEFAULT, NOW())",
    "INSERT LOW_PRIORITY INTO t SET a = 1, t.b = DEFAULT ON DUPLICATE KEY UPDATE a = VALUES(a) + 1",
    "INSERT INTO t (a) VALUES (1) AS n(x) ON DUPLICATE KEY UPDATE a = n.x",
    "INSERT INTO t VALUES ROW(1, 2), ROW(3, 4)",
    "INSERT INTO t PARTITION (p0, p1) (a) SELECT a + 1 FROM t AS u WHERE u.a > 1",
    "INSERT INTO t TABLE t",
    "INSERT INTO t WITH c AS (SELECT 1 AS a) SELECT a FROM c",
    "INSERT INTO t VALUES (_binary'\\0\\'', x'00', 0x1F, b'01', N'a', _utf8mb4 0xE38182, -1, +2, 1.5e3, NULL, TRUE)",
    "INSERT INTO t VALUES (@a := 1, @@session.sql_mode, @`b`, CURRENT_TIMESTAMP, NOW(3), UUID())",
    "INSERT INTO t VALUES (DATE '2024-01-01', TIMESTAMP'2024-01-01 00:00:00', TIME '10:00')",
    "REPLACE INTO t (a, b) VALUES (1, REPLACE('a', 'b', 'c'))",
    "REPLACE DELAYED t SET a = LEFT('abc', 1), b = MOD(5, 2), c = 5 MOD 2, d = RIGHT(b, 1)",
    "UPDATE t SET a = a + 1, b = b DIV 2 WHERE id IN (1, 2, 3) ORDER BY id LIMIT 10",
    "UPDATE LOW_PRIORITY IGNORE t SET a = IF(b, 1, 2), c = INSERT('a', 1, 1, 'b') WHERE NOT a <=> b XOR c || d && e",
    "UPDATE t FORCE INDEX (i) SET a = 1 WHERE b REGEXP '^a' AND c RLIKE 'b' AND d SOUNDS LIKE 'e'",
    "UPDATE t USE INDEX FOR ORDER BY (i, j) SET a = 1",
    "UPDATE t AS x, t AS y SET x.a = y.a WHERE x.id = y.id",
    "UPDATE t x JOIN (SELECT MAX(id) AS m FROM t GROUP BY a WITH ROLLUP) y ON x.id = y.m SET x.a = 1",
    "UPDATE t a LEFT JOIN t b USING (id) SET a.x = COALESCE(b.x, 0)",
    "UPDATE t SET a = CASE WHEN id = 1 THEN 'x' WHEN id = 2 THEN 'y' ELSE a END, end = 1 WHERE id IN (1, 2)",
    "UPDATE t SET j = JSON_SET(j, '$.a', 1), k = j->'$.b', l = j->>'$.c' WHERE 1 MEMBER OF (j)",
    "UPDATE t SET d = DATE_ADD(d, INTERVAL 1 DAY), e = e - INTERVAL a HOUR, f = NOW() + INTERVAL '1 2' DAY_HOUR",
    "UPDATE t SET date = 1, time = 2, day = 3, year = 4, mode = 5, offset = 6, language = 7, query = 8, status = 9",
    "UPDATE t SET a = EXTRACT(YEAR FROM b), c = TRIM(BOTH ' ' FROM d), e = SUBSTRING(f FROM 1 FOR 2), g = POSITION('a' IN h)",
    "UPDATE t SET a = CAST(b AS UNSIGNED), c = CONVERT(d USING utf8mb4), e = CAST(f AS CHAR(10)), g = BINARY h",
    "UPDATE t SET a = CAST(b AS DECIMAL(10, 2)), c = CAST(d AS DATETIME), e = CAST(f AS JSON), g = CONVERT(h, SIGNED)",
    "UPDATE t SET a = b COLLATE utf8mb4_bin, c = 'x' 'y', d = ~e | f & g ^ h << 2 >> 1, i = !j, k = l % 3",
    "UPDATE t SET a = (SELECT GROUP_CONCAT(DISTINCT x.b ORDER BY x.c SEPARATOR ',') FROM t AS x)",
    "UPDATE t SET a = (SELECT ROW_NUMBER() OVER (PARTITION BY x.b ORDER BY x.c) FROM t AS x LIMIT 1)",
    "UPDATE t SET a = 1 WHERE MATCH(b, c) AGAINST ('x' IN BOOLEAN MODE)",
    "UPDATE t SET a = 1 WHERE b BETWEEN 1 AND 2 AND c LIKE 'a%' ESCAPE '|' AND d IS NOT NULL AND e NOT IN (1)",
    "UPDATE t SET a = 1 WHERE EXISTS (SELECT * FROM t AS u WHERE u.a = t.a) OR b = ANY (SELECT c FROM t AS v)",
    "UPDATE t SET a = 1 WHERE (b, c) IN ((1, 2), (3, 4)) AND ROW(1, 2) = ROW(d, e)",
    "UPDATE `t` SET `a``b` = \"it's\", c = 'say \\'hi\\'' -- t2\n WHERE d = 1 # FROM t3",
    "UPDATE t SET a = TIMESTAMPDIFF(SECOND, b, NOW()), c = CHAR(65), d = DATABASE(), e = INTERVAL(1, 2, 3)",
    "DELETE FROM t WHERE id < 100 ORDER BY id LIMIT 5",
    "DELETE QUICK FROM t AS x WHERE x.a = 1",
    "DELETE FROM shop.t",
    "DELETE x FROM t AS x JOIN t AS y ON x.a = y.a WHERE x.id > y.id",
    "DELETE x.*, y FROM t AS x, t AS y WHERE x.id = y.id",
    "DELETE FROM x USING t AS x INNER JOIN t AS y USING (a)",
    "DELETE t FROM t WHERE a = 1",
    "WITH c AS (SELECT id FROM t) DELETE FROM t WHERE id IN (SELECT id FROM c)",
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) UPDATE t SET a = (SELECT MAX(n) FROM c)",
    "INSERT INTO t SELECT STRAIGHT_JOIN SQL_NO_CACHE a.* FROM t a CROSS JOIN t b STRAIGHT_JOIN t c ON 1 = 1 LOCK IN SHARE MODE",
    "INSERT INTO t (SELECT 1 FROM DUAL) UNION DISTINCT (SELECT a FROM t FOR UPDATE) LIMIT 5, 10",
    "INSERT INTO t SELECT a FROM t WHERE a > 1 LIMIT 10 OFFSET 5",
    "CREATE TABLE t (id int unsigned AUTO_INCREMENT, a varchar(20) CHARACTER SET latin1 DEFAULT 'x' COMMENT 'like references u', PRIMARY KEY (id), FULLTEXT KEY f (a) WITH PARSER ngram, CHECK (a LIKE 'a%')) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES IN (1, 2))",
    "CREATE TABLE IF NOT EXISTS `shop`.`t` (a int, CONSTRAINT c FOREIGN KEY (a) REFERENCES t (id) ON DELETE CASCADE ON UPDATE SET NULL)",
    "CREATE TABLE t (a int GENERATED ALWAYS AS (b + 1) STORED, b int INVISIBLE, `references` int, c geometry NOT NULL SRID 4326)",
    "CREATE TABLE t LIKE t",
    "CREATE TABLE t (LIKE shop.t)",
    "CREATE TABLE t AS SELECT a, 1 AS b FROM t AS u",
    "CREATE TABLE t (a int) ENGINE=InnoDB IGNORE (SELECT a FROM t AS u) START TRANSACTION",
    "CREATE TABLE t (a int) START TRANSACTION",
    "ALTER TABLE t ADD COLUMN a int DEFAULT 1 AFTER b, DROP PRIMARY KEY, ADD PRIMARY KEY (a), ALGORITHM=INPLACE, LOCK=NONE",
    "ALTER TABLE t RENAME COLUMN a TO b, RENAME INDEX i TO j, RENAME KEY k TO l, DROP FOREIGN KEY f",
    "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE t WITHOUT VALIDATION",
    "ALTER TABLE t REORGANIZE PARTITION p INTO (PARTITION a VALUES LESS THAN MAXVALUE)",
    "ALTER TABLE t RENAME TO shop.t",
    "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "RENAME TABLE t TO t",
    "DROP TABLE IF EXISTS t RESTRICT",
    "DROP TABLE `shop`.`t` /* generated by server */",
    "TRUNCATE t",
    "TRUNCATE TABLE shop . t",
    "CREATE UNIQUE INDEX i USING BTREE ON t (a(10) DESC, (b + 1)) COMMENT 'x'",
    "DROP INDEX i ON t ALGORITHM=INPLACE",
    "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW t (x) AS SELECT a FROM shop.t WHERE a = 'b' WITH CASCADED CHECK OPTION",
    "DROP VIEW IF EXISTS t",
    "ANALYZE NO_WRITE_TO_BINLOG TABLE t",
    "ANALYZE TABLE t UPDATE HISTOGRAM ON a, b WITH 10 BUCKETS",
    "CREATE DEFINER=`a`@`%` TRIGGER g BEFORE INSERT ON t FOR EACH ROW BEGIN INSERT INTO other VALUES (NEW.a); END",
    "/* a */ UPDATE /*+ NO_MERGE(x) */ t /*!80000 SET */ a = 1",
];

#[test]
fn every_form_is_kept_where_its_table_is() {
    let rules = filtered(&["shop.t"], &[]);
    let refused: Vec<_> = ABOUT_T
        .iter()
        .map(|sql| (sql, judged(&rules, "shop", sql)))
        .filter(|(sql, outcome)| outcome != **sql)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_form_is_dropped_where_its_table_is() {
    let rules = filtered(&[], &["shop.t"]);
    for sql in ABOUT_T {
        expect_dropped(&rules, "shop", sql, Dropped::Filtered);
    }
}

#[test]
fn a_statement_on_kept_and_dropped_tables_is_refused_by_name() {
    let rules = filtered(&["shop.*"], &["shop.secret"]);
    for sql in [
        "INSERT INTO t SELECT * FROM secret",
        "INSERT INTO t VALUES ((SELECT a FROM secret LIMIT 1))",
        "UPDATE t JOIN secret USING (id) SET t.a = 1",
        "UPDATE t, secret SET t.a = secret.a",
        "UPDATE t SET a = 1 WHERE id IN (SELECT id FROM (SELECT id FROM secret) x)",
        "DELETE t FROM t JOIN secret s ON s.id = t.id",
        "DELETE FROM t USING t LEFT JOIN shop.secret ON 1",
        "WITH x AS (SELECT * FROM secret) DELETE FROM t WHERE id IN (SELECT id FROM x)",
        "WITH secret AS (SELECT * FROM secret) UPDATE t SET a = (SELECT a FROM secret)",
        "CREATE TABLE t (a int REFERENCES secret (id))",
        "CREATE TABLE t LIKE secret",
        "CREATE TABLE t SELECT * FROM secret",
        "CREATE TABLE t (a int) ENGINE=MERGE UNION=(secret, u)",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES `secret` (id)",
        "ALTER TABLE t RENAME secret",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE secret",
        "RENAME TABLE t TO t_old, secret TO t",
        "DROP TABLE t, secret",
        "CREATE OR REPLACE VIEW t AS (SELECT 1 UNION SELECT a FROM secret)",
    ] {
        expect_refused(&rules, "shop", sql, "`shop`.`secret`");
    }
}

#[test]
fn names_of_common_table_expressions_are_no_tables() {
    let rules = filtered(&["shop.t"], &[]);
    for sql in [
        "WITH x AS (SELECT 1 AS id), y AS (SELECT id FROM x) DELETE FROM t WHERE id IN (SELECT id FROM y)",
        "INSERT INTO t SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) z",
    ] {
        expect_kept(&rules, "shop", sql);
    }
    // Out of its scope the name is a table's again.
    expect_refused(
        &rules,
        "shop",
        "INSERT INTO t SELECT z.a FROM (WITH x AS (SELECT 1) SELECT * FROM x) z, x",
        "`shop`.`x`",
    );
    expect_refused(
        &rules,
        "shop",
        "INSERT INTO t WITH y AS (SELECT * FROM x), x AS (SELECT 1) SELECT * FROM y",
        "`shop`.`x`",
    );
}

#[test]
fn schemas_named_in_the_event_decide_without_reading() {
    let rules = filtered(&[], &["old.*", "shop.tmp_*"]);
    let strange = "INSERT INTO t SELECT ?? FROM";
    assert_eq!(outcome(&judge(&rules, &touching("old", strange, &["old"]))), "Filtered");
    assert_eq!(outcome(&judge(&rules, &touching("old", strange, &["mysql", "old"]))), "Filtered");
    assert_eq!(outcome(&judge(&rules, &touching("crm", strange, &["crm"]))), strange);
    assert!(judge(&rules, &touching("shop", strange, &["shop"])).is_err());
    assert!(judge(&rules, &touching("old", strange, &["crm", "old"])).is_err());
    assert!(judge(&rules, &touching("crm", strange, &[""])).is_err());
}

#[test]
fn schemas_are_kept_whole_or_asked_about() {
    let rules = filtered(&["shop.*", "crm.users"], &[]);
    for (sql, expected) in [
        ("CREATE DATABASE shop", "CREATE DATABASE shop"),
        ("DROP DATABASE IF EXISTS `shop`", "DROP DATABASE IF EXISTS `shop`"),
        ("CREATE DATABASE crm", "CREATE DATABASE crm"),
        ("DROP DATABASE crm", "refused: DROP DATABASE of `crm`, only some tables of which are replicated"),
        ("CREATE SCHEMA hr", "Filtered"),
        ("DROP DATABASE hr", "Filtered"),
        ("ALTER DATABASE COLLATE utf8mb4_bin", "ALTER DATABASE COLLATE utf8mb4_bin"),
        ("CREATE PROCEDURE p() SELECT 1", "CREATE PROCEDURE p() SELECT 1"),
        ("DROP PROCEDURE IF EXISTS shop.p", "DROP PROCEDURE IF EXISTS shop.p"),
        ("CREATE DEFINER=a@b FUNCTION hr.f() RETURNS int RETURN 1", "Filtered"),
        ("CREATE FUNCTION crm.f() RETURNS int RETURN 1", "Filtered"),
        ("DROP TRIGGER shop.g", "DROP TRIGGER shop.g"),
        ("DROP TRIGGER hr.g", "Filtered"),
        (
            "CREATE TRIGGER crm.g AFTER DELETE ON crm.users FOR EACH ROW SET @a = 1",
            "CREATE TRIGGER crm.g AFTER DELETE ON crm.users FOR EACH ROW SET @a = 1",
        ),
        ("CREATE TRIGGER crm.g AFTER DELETE ON crm.leads FOR EACH ROW SET @a = 1", "Filtered"),
        ("CREATE EVENT hr.e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "Filtered"),
    ] {
        assert_eq!(judged(&rules, "shop", sql), expected);
    }
    expect_refused(&rules, "crm", "DROP TRIGGER g", "only some tables of `crm`");
}

#[test]
fn what_cannot_be_read_is_refused_and_nothing_of_it_shown() {
    let rules = filtered(&[], &["shop.secret"]);
    for (database, sql) in [
        ("shop", "INSERT INTO t VALUES ('hunter2', ?? FROM)"),
        ("shop", "INSERT INTO t VALUES ('hunter2"),
        ("", "INSERT INTO t VALUES ('hunter2')"),
        ("shop", "SELECT `shop`.`f`('hunter2')"),
        ("shop", "UPDATE t SET a = 'hunter2'; DELETE FROM secret"),
        ("shop", "hunter2"),
        ("shop", "INSERT INTO t SELECT * FROM u /*M! , secret */ WHERE a = 'hunter2'"),
        ("shop", "INSERT INTO a.b.c.d VALUES ('hunter2')"),
        ("shop", "LOAD DATA INFILE 'hunter2' INTO TABLE t"),
        ("shop", "ALTER TABLE"),
        ("shop", "CREATE TABLE t (a int) UNION = hunter2"),
        ("shop", "RENAME TABLE a TO b,"),
    ] {
        let outcome = judged(&rules, database, sql);
        assert!(outcome.starts_with("refused: ") && !outcome.contains("hunter2"), "{outcome}");
    }
}

#[test]
fn the_client_s_character_set_is_respected() {
    let rules = filtered(&["shop.t"], &[]);
    let judged = |collation: u16, sql: &[u8]| {
        let mut event = event("shop", sql);
        event.status.charset = Some((collation, collation, collation));
        outcome(&judge(&rules, &event))
    };
    let (latin1, sjis, ujis, binary) = (8, 13, 12, 63);
    assert!(judged(latin1, b"INSERT INTO t VALUES ('\xE9')").starts_with("INSERT"));
    assert!(judged(latin1, b"INSERT INTO t\xE9 VALUES (1)").starts_with("refused"));
    assert!(judged(ujis, b"INSERT INTO t (`\xC3\xED`) VALUES (1)").starts_with("INSERT"));
    assert!(judged(sjis, b"INSERT INTO t VALUES ('\x95\x5c')").starts_with("refused"));
    assert!(judged(sjis, b"INSERT INTO t VALUES ('a')").starts_with("INSERT"));
    assert!(judged(binary, b"INSERT INTO t VALUES ('\xFF\xFE')").starts_with("INSERT"));
    assert!(judged(UTF8MB4, b"INSERT INTO t VALUES (_binary '\xFF\xFE')").starts_with("INSERT"));
    assert!(judged(UTF8MB4, b"INSERT INTO \xFF VALUES (1)").starts_with("refused"));
}

#[test]
fn a_source_that_folds_names_is_matched_as_it_folds() {
    let mut rules = filtered(&["shop.orders"], &[]);
    expect_refused(&rules, "shop", "INSERT INTO Orders VALUES (1)", "case");
    expect_refused(&filtered(&[], &["shop.orders"]), "shop", "INSERT INTO Orders VALUES (1)", "case");
    expect_refused(&renamed(&[("shop", "laden")], &[]), "", "CREATE DATABASE Shop", "case");
    expect_kept(&filtered(&["shop.Orders"], &[]), "shop", "INSERT INTO Orders VALUES (1)");
    rules.source_case = Some(NameCase::Keep);
    expect_dropped(&rules, "shop", "INSERT INTO Orders VALUES (1)", Dropped::Filtered);
    rules.source_case = Some(NameCase::Lower);
    expect_kept(&rules, "shop", "INSERT INTO Orders VALUES (1)");
    expect_kept(&rules, "", "INSERT INTO SHOP.ORDERS VALUES (1)");
}

#[test]
fn a_default_database_that_is_not_replicated_is_left_out() {
    let rules = filtered(&["shop.*"], &[]);
    match judge(&rules, &event("crm", b"INSERT INTO shop.t VALUES (1)")) {
        Ok(Judgement::Keep { database, .. }) => assert!(database.is_empty()),
        other => panic!("{other:?}"),
    }
}

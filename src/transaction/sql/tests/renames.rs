//! With renames.

use super::*;

#[track_caller]
fn expect(rules: &Rules, database: &str, sql: &str, expected: &str) {
    assert_eq!(judged(rules, database, sql), expected, "{sql}");
}

fn database_of(rules: &Rules, database: &str, sql: &str) -> String {
    match judge(rules, &event(database, sql.as_bytes())) {
        Ok(Judgement::Keep { database, .. }) => String::from_utf8(database.to_vec()).unwrap(),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn a_renamed_schema_changes_where_it_is_named() {
    let rules = renamed(&[("shop", "laden")], &[]);
    for (sql, expected) in [
        ("UPDATE shop.t SET shop.t.a = 1, t.b = 2", "UPDATE `laden`.t SET `laden`.t.a = 1, t.b = 2"),
        (
            "UPDATE `shop` . `t` SET a = 'shop.t' /* shop.t */",
            "UPDATE `laden` . `t` SET a = 'shop.t' /* shop.t */",
        ),
        (
            "INSERT INTO t SELECT shop.f(u.a) FROM shop.u",
            "INSERT INTO t SELECT `laden`.f(u.a) FROM `laden`.u",
        ),
        ("SELECT 1 FROM shop.t", "SELECT 1 FROM `laden`.t"),
        (
            "DELETE shop.a.* , b FROM shop.a JOIN shop.b",
            "DELETE `laden`.a.* , `laden`.`b` FROM `laden`.a JOIN `laden`.b",
        ),
        ("CREATE DATABASE shop", "CREATE DATABASE `laden`"),
        ("DROP DATABASE IF EXISTS `shop`", "DROP DATABASE IF EXISTS `laden`"),
        ("RENAME TABLE shop.a TO shop.b", "RENAME TABLE `laden`.a TO `laden`.b"),
        ("CREATE VIEW shop.v AS SELECT t.* FROM crm.t", "CREATE VIEW `laden`.v AS SELECT t.* FROM crm.t"),
        (
            "CREATE TABLE crm.t (a int, b int REFERENCES shop.u (id))",
            "CREATE TABLE crm.t (a int, b int REFERENCES `laden`.u (id))",
        ),
        ("DROP TRIGGER shop.g", "DROP TRIGGER `laden`.g"),
        ("CREATE PROCEDURE shop.p() SELECT 1", "CREATE PROCEDURE `laden`.p() SELECT 1"),
        (
            "CREATE EVENT shop.e ON SCHEDULE EVERY 1 DAY ENABLE DO SET @a = 1",
            "CREATE EVENT `laden`.e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SET @a = 1",
        ),
        (
            "CREATE TRIGGER g BEFORE INSERT ON shop.t FOR EACH ROW SET NEW.a = 1",
            "CREATE TRIGGER g BEFORE INSERT ON `laden`.t FOR EACH ROW SET NEW.a = 1",
        ),
        ("UPDATE crm.t SET a = 1", "UPDATE crm.t SET a = 1"),
    ] {
        expect(&rules, "shop", sql, expected);
    }
    assert_eq!(database_of(&rules, "shop", "INSERT INTO t VALUES (1)"), "laden");
    assert_eq!(database_of(&rules, "crm", "INSERT INTO t VALUES (1)"), "crm");
    assert_eq!(database_of(&rules, "shop", "SAVEPOINT a"), "laden");
    assert_eq!(database_of(&rules, "shop", "CREATE DATABASE shop"), "");
    assert_eq!(database_of(&rules, "shop", "ALTER DATABASE COLLATE utf8mb4_bin"), "laden");
    expect_refused(&rules, "shop", "CREATE PROCEDURE p() DELETE FROM shop.t", "body");
    expect_refused(&rules, "shop", "CREATE PROCEDURE p() PREPARE s FROM @a", "body");
}

#[test]
fn a_renamed_table_changes_where_it_is_named() {
    let rules = renamed(&[], &[("shop.a", "shop.b")]);
    for (sql, expected) in [
        (
            "INSERT INTO a (a) VALUES (1) ON DUPLICATE KEY UPDATE a.a = VALUES(a)",
            "INSERT INTO `b` (a) VALUES (1) ON DUPLICATE KEY UPDATE `b`.a = VALUES(a)",
        ),
        (
            "UPDATE a SET a.x = 1, a = a.a WHERE shop.a.y = 2 ORDER BY a.z",
            "UPDATE `b` SET `b`.x = 1, a = `b`.a WHERE shop.`b`.y = 2 ORDER BY `b`.z",
        ),
        ("UPDATE a AS c SET c.a = 1", "UPDATE `b` AS c SET c.a = 1"),
        ("UPDATE a c SET c.a = 1", "UPDATE `b` c SET c.a = 1"),
        ("DELETE a FROM a JOIN c ON a.x = c.a", "DELETE `shop`.`b` FROM `b` JOIN c ON `b`.x = c.a"),
        ("DELETE FROM a USING a, c WHERE a.x = c.x", "DELETE FROM `shop`.`b` USING `b`, c WHERE `b`.x = c.x"),
        ("DELETE x FROM a AS x", "DELETE x FROM `b` AS x"),
        (
            "INSERT INTO c SELECT a.* , shop.a.* FROM shop.a",
            "INSERT INTO c SELECT `b`.* , shop.`b`.* FROM shop.`b`",
        ),
        (
            "ALTER TABLE a RENAME COLUMN a TO c, ADD CHECK (a.x > 0)",
            "ALTER TABLE `b` RENAME COLUMN a TO c, ADD CHECK (`b`.x > 0)",
        ),
        ("CREATE INDEX a ON a (a)", "CREATE INDEX a ON `b` (a)"),
        (
            "CREATE TABLE c (a int, FOREIGN KEY (a) REFERENCES a (id))",
            "CREATE TABLE c (a int, FOREIGN KEY (a) REFERENCES `b` (id))",
        ),
        ("CREATE TABLE c LIKE a", "CREATE TABLE c LIKE `b`"),
        ("TRUNCATE a", "TRUNCATE `b`"),
        ("RENAME TABLE a TO a_old, a_new TO a", "RENAME TABLE `b` TO a_old, a_new TO `b`"),
        ("ALTER TABLE c RENAME AS a", "ALTER TABLE c RENAME AS `b`"),
        ("DROP TABLE c, a", "DROP TABLE c, `b`"),
        (
            "INSERT INTO a WITH a AS (SELECT 1) SELECT * FROM a",
            "INSERT INTO `b` WITH a AS (SELECT 1) SELECT * FROM a",
        ),
        ("UPDATE crm.a SET a.x = 1", "UPDATE crm.a SET a.x = 1"),
        (
            "CREATE TRIGGER g AFTER INSERT ON a FOR EACH ROW SET @x = NEW.y",
            "CREATE TRIGGER g AFTER INSERT ON `b` FOR EACH ROW SET @x = NEW.y",
        ),
    ] {
        expect(&rules, "shop", sql, expected);
    }
    for sql in [
        "UPDATE a JOIN c AS a ON 1 SET a.x = 1",
        "UPDATE shop.a JOIN crm.a ON 1 SET a.x = 1",
        "CREATE TRIGGER g AFTER INSERT ON c FOR EACH ROW DELETE FROM a",
        "DROP DATABASE shop",
    ] {
        assert!(judged(&rules, "shop", sql).starts_with("refused"), "{sql}");
    }
}

#[test]
fn a_table_that_leaves_its_schema_is_named_in_full() {
    let rules = renamed(&[("shop", "laden")], &[("shop.a", "archive.b")]);
    for (sql, expected) in [
        ("INSERT INTO a SELECT a.x, t.y FROM t", "INSERT INTO `archive`.`b` SELECT `b`.x, t.y FROM t"),
        ("UPDATE a, t SET a.x = t.x", "UPDATE `archive`.`b`, t SET `b`.x = t.x"),
        ("DELETE a FROM a JOIN t", "DELETE `archive`.`b` FROM `archive`.`b` JOIN t"),
        ("RENAME TABLE a TO t", "RENAME TABLE `archive`.`b` TO t"),
        (
            "CREATE TRIGGER g AFTER INSERT ON a FOR EACH ROW SET @x = 1",
            "CREATE TRIGGER `archive`.g AFTER INSERT ON `archive`.`b` FOR EACH ROW SET @x = 1",
        ),
    ] {
        expect(&rules, "shop", sql, expected);
    }
}

#[test]
fn online_schema_changes_work_under_renames() {
    let rules = renamed(&[("shop", "laden")], &[]);
    for (sql, expected) in [
        (
            "CREATE /* gh-ost */ TABLE `shop`.`_t_gho` LIKE `shop`.`t`",
            "CREATE /* gh-ost */ TABLE `laden`.`_t_gho` LIKE `laden`.`t`",
        ),
        (
            "ALTER /* gh-ost */ TABLE `shop`.`_t_gho` ADD COLUMN b int, ENGINE=InnoDB",
            "ALTER /* gh-ost */ TABLE `laden`.`_t_gho` ADD COLUMN b int, ENGINE=InnoDB",
        ),
        (
            "insert /* gh-ost `shop`.`t` */ ignore into `shop`.`_t_gho` (`id`) (select `id` from `shop`.`t` force index (`PRIMARY`) where (((`id` > _binary'1') or ((`id` = _binary'1'))) and ((`id` < _binary'9'))) lock in share mode)",
            "insert /* gh-ost `shop`.`t` */ ignore into `laden`.`_t_gho` (`id`) (select `id` from `laden`.`t` force index (`PRIMARY`) where (((`id` > _binary'1') or ((`id` = _binary'1'))) and ((`id` < _binary'9'))) lock in share mode)",
        ),
        (
            "rename /* gh-ost */ table `shop`.`t` to `shop`.`_t_del`, `shop`.`_t_gho` to `shop`.`t`",
            "rename /* gh-ost */ table `laden`.`t` to `laden`.`_t_del`, `laden`.`_t_gho` to `laden`.`t`",
        ),
        (
            "INSERT LOW_PRIORITY IGNORE INTO `shop`.`_t_new` (`id`, `a`) SELECT `id`, `a` FROM `shop`.`t` FORCE INDEX(`PRIMARY`) WHERE ((`id` >= '1')) AND ((`id` <= '10')) LOCK IN SHARE MODE /*pt-online-schema-change 12 copy nibble*/",
            "INSERT LOW_PRIORITY IGNORE INTO `laden`.`_t_new` (`id`, `a`) SELECT `id`, `a` FROM `laden`.`t` FORCE INDEX(`PRIMARY`) WHERE ((`id` >= '1')) AND ((`id` <= '10')) LOCK IN SHARE MODE /*pt-online-schema-change 12 copy nibble*/",
        ),
        (
            "DROP TABLE IF EXISTS `shop`.`_t_old` /* generated by server */",
            "DROP TABLE IF EXISTS `laden`.`_t_old` /* generated by server */",
        ),
    ] {
        expect(&rules, "", sql, expected);
    }
    expect_refused(
        &rules,
        "shop",
        "CREATE TRIGGER `pt_osc_shop_t_del` AFTER DELETE ON `shop`.`t` FOR EACH ROW DELETE IGNORE FROM `shop`.`_t_new` WHERE 1",
        "body",
    );
}

#[test]
fn names_of_any_letters_are_found_and_written() {
    let rules = renamed(
        &[("店", "ラーデン")],
        &[("店.注文", "店.受`注"), ("a.b.c".split_once('.').map_or("", |_| "a.b.c"), "x.y")],
    );
    expect(
        &rules,
        "店",
        "INSERT INTO 注文 (金額) VALUES ('注文')",
        "INSERT INTO `店`.`受``注` (金額) VALUES ('注文')",
    );
    expect(&rules, "店", "UPDATE `店`.`明細` SET 明細.数 = 1", "UPDATE `ラーデン`.`明細` SET 明細.数 = 1");
    expect(&rules, "a", "TRUNCATE `b.c`", "TRUNCATE `x`.`y`");
    let mut quoted = renamed(&[], &[]);
    quoted.rename_tables.insert(("s".into(), "a`b\"c".into()), ("s".into(), "d".into()));
    expect(&quoted, "s", "TRUNCATE `a``b\"c`", "TRUNCATE `d`");
}

#[test]
fn the_sql_mode_says_what_quotes_are() {
    let rules = renamed(&[], &[("shop.a", "shop.b")]);
    let judged = |sql_mode: u64, sql: &str| {
        let mut event = event("shop", sql.as_bytes());
        event.status.sql_mode = Some(sql_mode);
        outcome(&judge(&rules, &event))
    };
    for (sql_mode, sql, expected) in [
        (
            ANSI_QUOTES,
            r#"UPDATE "a" SET "a"."x" = 'a\'' WHERE 1"#,
            r#"UPDATE `b` SET `b`."x" = 'a\'' WHERE 1"#,
        ),
        (0, r#"UPDATE a SET x = "a" WHERE y = "\"a""#, r#"UPDATE `b` SET x = "a" WHERE y = "\"a""#),
        (
            NO_BACKSLASH_ESCAPES,
            r"UPDATE a SET x = '\' WHERE a.y = '\'",
            r"UPDATE `b` SET x = '\' WHERE `b`.y = '\'",
        ),
        (ANSI_QUOTES | NO_BACKSLASH_ESCAPES, r#"DROP TABLE "shop"."a""#, r#"DROP TABLE "shop".`b`"#),
    ] {
        assert_eq!(judged(sql_mode, sql), expected);
    }
    assert!(judged(0, r#"UPDATE "a" SET x = 1"#).starts_with("refused"));
}

#[test]
fn a_name_that_the_text_cannot_hold_is_refused() {
    let rules = renamed(&[("shop", "店")], &[]);
    let mut event = event("", b"TRUNCATE shop.t");
    event.status.charset = Some((8, 8, 8));
    assert!(outcome(&judge(&rules, &event)).contains("character set"));
}

#[test]
fn folding_alone_rewrites_nothing() {
    let mut rules = renamed(&[], &[("Shop.A", "Shop.B")]);
    rules.case = NameCase::Lower;
    expect(&rules, "Shop", "UPDATE Shop.Orders SET Orders.X = 1", "UPDATE Shop.Orders SET Orders.X = 1");
    expect(&rules, "Shop", "UPDATE A SET A.X = 1", "UPDATE `b` SET `b`.X = 1");
    assert_eq!(database_of(&rules, "Shop", "UPDATE Orders SET X = 1"), "Shop");
}

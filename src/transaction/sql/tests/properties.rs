//! What holds for any text.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// Pieces of SQL that meet each other in odd ways.
const PIECES: [&str; 48] = [
    "SELECT",
    "INSERT INTO",
    "UPDATE",
    "DELETE",
    "FROM",
    "JOIN",
    "WHERE",
    "SET",
    "VALUES",
    "(",
    ")",
    ",",
    ".",
    ";",
    "=",
    "a",
    "`a`",
    "shop",
    "`sh``op`",
    "'x'",
    "\"y\"",
    "'",
    "`",
    "/*",
    "*/",
    "/*!",
    "--",
    "#",
    "\n",
    "1",
    "1.5e3",
    "0x",
    "@a",
    "@@b",
    ":=",
    "WITH",
    "AS",
    "CREATE TABLE",
    "ALTER TABLE",
    "RENAME",
    "TO",
    "LIKE",
    "REFERENCES",
    "UNION",
    "DROP DATABASE",
    "CREATE TRIGGER",
    "INTERVAL",
    "注文",
];

fn all_rules() -> Vec<Rules> {
    vec![rules(), filtered(&["shop.*"], &["*.a"]), renamed(&[("shop", "laden")], &[("shop.a", "x.b")])]
}

fn judge_all(database: &str, sql: &[u8], sql_mode: u64, collation: u16) {
    let mut event = event(database, sql);
    event.status.sql_mode = Some(sql_mode);
    event.status.charset = Some((collation, collation, collation));
    for rules in all_rules() {
        let _ = judge(&rules, &event);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(
        sql in prop::collection::vec(any::<u8>(), 0..200), sql_mode in any::<u64>(), collation in 0_u16..320,
    ) {
        judge_all("shop", &sql, sql_mode, collation);
    }

    #[test]
    fn any_pieces_of_sql_are_judged_without_panic(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40), ansi in any::<bool>(),
    ) {
        judge_all("mysql", pieces.join(" ").as_bytes(), if ansi { ANSI_QUOTES } else { 0 }, UTF8MB4);
        judge_all("shop", pieces.concat().as_bytes(), 0, UTF8MB4);
    }

    #[test]
    fn a_rename_changes_the_names_and_nothing_else(
        table in "[a-z注文`\". ]{1,12}", literal in "[ -~あ-ん]{0,30}", comment in "[a-z .`']{0,20}", number in any::<u32>(),
    ) {
        prop_assume!(!table.starts_with(' ') && !table.ends_with(' '));
        let mut rules = rules();
        rules.rename_tables.insert(("shop".into(), table.clone()), ("shop".into(), "new".into()));
        let quoted = format!("`{}`", table.replace('`', "``"));
        let literal = literal.replace('\\', "\\\\").replace('\'', "''");
        let text = |name: &str| format!(
            "INSERT /* {comment} */ INTO {name} (x) SELECT '{literal}', {number}, {name}.y FROM {name} -- {comment}\n WHERE shop.{name}.z = \"it's\""
        );
        prop_assert_eq!(judged(&rules, "shop", &text(&quoted)), text("`new`"));
    }
}

#[test]
fn large_statements_are_read_in_little_memory() {
    let mut sql = String::from("INSERT INTO a VALUES ");
    for row in 0..300_000 {
        let _ = write!(sql, "({row}, 'it''s', NULL, -1.5, x'00', _binary'\\0'),");
    }
    sql.push_str("(1, 2, 3, 4, 5, 6) ON DUPLICATE KEY UPDATE a.x = VALUES(x)");
    let judged = judged(&renamed(&[], &[("shop.a", "shop.b")]), "shop", &sql);
    assert!(judged.starts_with("INSERT INTO `b` VALUES (0,") && judged.ends_with("UPDATE `b`.x = VALUES(x)"));
}

#[test]
fn long_and_deep_expressions_do_not_overflow_a_small_stack() {
    let judge = || {
        let rules = filtered(&["shop.t"], &[]);
        let long =
            |count: usize| format!("UPDATE t SET a = 1 WHERE {} 1", "(a = b AND c = 2) OR ".repeat(count));
        expect_kept(&rules, "shop", &long(300));
        expect_refused(&rules, "shop", &long(5_000), "too long or too deep");
        expect_refused(&rules, "shop", &long(100_000), "too long");
        let cases = format!("UPDATE t SET a = CASE id {} END", "WHEN a = 1 THEN b + 1 ".repeat(5000));
        expect_kept(&rules, "shop", &cases);
        let groups = format!("UPDATE t SET a = {}b{}", "(".repeat(100_000), ")".repeat(100_000));
        expect_refused(&rules, "shop", &groups, "too long");
        let nots = format!("UPDATE t SET a = {} b", "NOT ".repeat(100_000));
        expect_refused(&rules, "shop", &nots, "too long");
        let subqueries = format!(
            "DELETE FROM t WHERE a IN {}1{}",
            "(SELECT a FROM t WHERE a IN (".repeat(200),
            "))".repeat(200)
        );
        assert!(judged(&rules, "shop", &subqueries).starts_with("refused"));
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(judge).unwrap().join().unwrap();
}

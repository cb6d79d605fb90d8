//! The README says what the program does: its tables are the program's own words, and whatever it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use binbridge::config::KEYS;
use binbridge::error::Code;
use binbridge::observe::assets::ALERTS;
use binbridge::observe::metrics;

use crate::support::{
    ADMIN, APP, AZADMIN, Account, Bridge, BridgeOptions, azure_like, compare, dump_restore, program, rds_like,
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Words made of `also` and ASCII letters and digits that begin with `prefix`.
fn words<'a>(text: &'a str, prefix: &str, also: &[char]) -> BTreeSet<&'a str> {
    let within = |c: char| c.is_ascii_alphanumeric() || also.contains(&c);
    text.split(|c| !within(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.starts_with(prefix))
        .collect()
}

#[test]
fn the_tables_of_settings_metrics_and_errors_are_what_the_program_prints() {
    let mut readme = read("README.md");
    for name in ["settings", "metrics", "errors"] {
        let printed = Command::new(program()).args(["generate", name]).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        let begin = format!("<!-- generated: {name} -->\n");
        let (before, rest) = readme.split_once(&begin).unwrap_or_else(|| panic!("README.md lacks {begin}"));
        let (table, after) = rest.split_once("<!-- end -->").unwrap();
        let same = table.trim() == printed.trim();
        if !same && std::env::var_os("UPDATE_README").is_some() {
            readme = format!("{before}{begin}\n{printed}\n<!-- end -->{after}");
            fs::write(path("README.md"), &readme).unwrap();
            continue;
        }
        assert!(same, "the table of {name} has changed: UPDATE_README=1 cargo test --test it readme");
    }
}

#[test]
fn whatever_key_metric_code_or_alert_the_documents_name_exists() {
    let readme = read("README.md") + &read("CHANGELOG.md");
    let metrics: BTreeSet<_> = metrics::ALL.iter().map(|metric| metric.name).collect();
    for name in words(&readme, "binbridge_", &['_']) {
        assert!(metrics.contains(name), "the README names the metric {name}");
    }
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for name in words(&readme, "BB", &[]) {
        assert!(codes.contains(name), "the README names the code {name}");
    }
    let keys: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
    for section in ["bridge", "source", "filter", "apply", "admin", "shutdown"] {
        for name in words(&readme, &format!("{section}."), &['_', '.']) {
            // A few words of prose and names of files look like keys.
            let file =
                ["password", "pem", "toml"].iter().any(|end| name.ends_with(end)) && !keys.contains(name);
            assert!(file || keys.contains(name), "the README names the key {name}");
        }
    }
    let mut variables = words(&readme, "BINBRIDGE_", &['_']);
    for outside in ["BINBRIDGE_CONFIG", "BINBRIDGE_MYSQLD"] {
        assert!(variables.remove(outside), "the README does not name {outside}");
    }
    for name in variables {
        assert!(KEYS.iter().any(|key| key.variable() == name), "the README names the variable {name}");
    }
    let alerts = words(ALERTS, "Binbridge", &[]);
    assert_eq!(words(&readme, "Binbridge", &[]), alerts);
}

#[test]
fn the_make_targets_of_the_readme_and_the_makefile_are_the_same() {
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    let targets: BTreeSet<_> = makefile
        .lines()
        .filter_map(|line| {
            line.split_once(": ").filter(|(name, rest)| rest.contains("## ") && !name.contains(' '))
        })
        .map(|(name, _)| name)
        .chain(["help"])
        .collect();
    for target in &targets {
        let named = readme.contains(&format!("make {target}")) || readme.contains(&format!("also {target}"));
        assert!(named || readme.contains(&format!(", {target}")), "the README does not name make {target}");
    }
    let after_make = readme.match_indices("make ").filter_map(|(at, word)| readme.get(at + word.len()..));
    let named =
        after_make.filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next());
    for name in named.filter(|name| !["it", "the", "sure"].contains(name) && !name.is_empty()) {
        assert!(targets.contains(name), "the README names make {name}");
    }
}

#[test]
fn every_link_within_the_readme_leads_somewhere() {
    let readme = read("README.md");
    let anchors: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()))
        .map(|title| title.to_lowercase().replace(' ', "-").replace(',', ""))
        .collect();
    for (at, begin) in readme.match_indices("](#") {
        let target = readme.get(at + begin.len()..).unwrap().split(')').next().unwrap();
        assert!(anchors.contains(target), "no heading {target}");
    }
}

/// The SQL below `<!-- grants: name -->`.
pub(crate) fn grants(name: &str) -> String {
    let readme = read("README.md");
    let (_, rest) = readme.split_once(&format!("<!-- grants: {name} -->\n```sql\n")).unwrap();
    rest.split("```").next().unwrap().to_owned()
}

const SOURCE: Account = Account { user: "binbridge", password: "choose-One-1" };
const TARGET: Account = Account { user: "binbridge", password: "choose-One-2" };

#[test]
fn the_accounts_of_the_runbook_may_do_all_that_a_bridge_does() {
    let (source, target) = (rds_like("source", "MIXED"), azure_like("target"));
    source.sql_as(ADMIN, "CALL mysql.rds_set_configuration('binlog retention hours', 168)").unwrap();
    source.sql_as(ADMIN, &grants("source")).unwrap();
    target.sql_as(AZADMIN, &grants("target")).unwrap();
    let app = |sql: &str| source.sql_as(APP, sql).unwrap();
    app(
        "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, v INT); CREATE TABLE shop.b (v INT); INSERT INTO shop.a VALUES (1, 1)",
    );
    let start = source.coordinates();
    dump_restore(&source, &target, &["shop"]);
    let mut options = BridgeOptions::new(&source, &target);
    options.end("source", source.port(), SOURCE, Some(&source)).end(
        "target",
        target.port(),
        TARGET,
        Some(&target),
    );
    let mut bridge = Bridge::started(options, &start);
    app("INSERT INTO shop.a VALUES (2, 2); UPDATE shop.a SET v = v + 1; INSERT INTO shop.b VALUES (1), (UUID_SHORT() % 7);
         ALTER TABLE shop.a ADD COLUMN w INT, ADD KEY (v);
         CREATE TABLE shop.c (a INT, FOREIGN KEY (a) REFERENCES shop.a (id)); CREATE TABLE shop.d AS SELECT * FROM shop.a;
         RENAME TABLE shop.b TO shop.e; TRUNCATE TABLE shop.d; DROP TABLE shop.d");
    source.sql(
        "SET SESSION binlog_format = 'ROW'; INSERT INTO shop.a VALUES (7, 7, 7); DELETE FROM shop.a WHERE id = 1",
    );
    bridge.wait_caught_up(&source, std::time::Duration::from_secs(30));
    assert_eq!(bridge.stop().code(), Some(0), "{}", bridge.log());
    compare(&source, &target, &["shop"]).unwrap();
}

//! What operators write, and what they are told.

use super::*;
use crate::wire::{Secret, SslMode};
use std::path::PathBuf;

const GOOD: &str = r#"
[source]
host = "rds.example.com"
user = "repl"
password_file = "/run/secrets/source"
[target]
host = "azure.example.com"
user = "bridge"
"#;

fn load_text(
    text: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &str, &str)],
) -> Result<Loaded, Problems> {
    let mut raw = raw::Raw { file: Some("b.toml".to_owned()), ..raw::Raw::default() };
    raw.document("b.toml".to_owned(), text.to_owned());
    let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let flag = |(key, value, flag): &(&str, &str, &str)| Flag {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
        flag: (*flag).to_owned(),
    };
    finish(raw, &variables, &flags.iter().map(flag).collect::<Vec<_>>())
}

fn config(extra: &str) -> Config {
    load_text(&format!("{GOOD}{extra}"), &[], &[]).unwrap().config
}

/// What is said about a good file with this added.
fn told(extra: &str) -> String {
    load_text(&format!("{GOOD}{extra}"), &[], &[]).unwrap_err().to_string()
}

#[test]
fn a_short_file_is_enough_and_the_rest_has_defaults() {
    let config = config("");
    assert_eq!((config.bridge.name.as_str(), config.bridge.schema.as_str()), ("main", "binbridge"));
    assert_eq!((config.source.endpoint.port, config.source.heartbeat), (3306, Duration::from_secs(5)));
    assert_eq!(config.source.endpoint.secret, Secret::File(PathBuf::from("/run/secrets/source")));
    assert_eq!(config.target.endpoint.secret, Secret::None);
    assert_eq!(config.target.endpoint.tls.mode, SslMode::Preferred);
    assert_eq!((config.apply.batch_bytes, config.apply.memory), (20 << 20, 58 << 20));
    assert_eq!(config.admin.listen, Some(SocketAddr::from(([127, 0, 0, 1], 9306))));
    assert_eq!(config.filter, Filter::default());
}

#[test]
fn every_key_of_the_list_can_be_written_in_the_file() {
    let config = config(
        r#"
ssl_mode = "verify-identity"
ssl_ca = ["/etc/a.pem", "/etc/b,c.pem"]
ssl_cert = "/etc/cert.pem"
ssl_key = "/etc/key.pem"
token_command = "az account get-access-token"
write_timeout = "2m"
[bridge]
name = "shop-1"
[filter]
include = ["shop.*", "crm.accounts"]
exclude = "shop.sessions"
rename = { shop = "store", "crm.accounts" = "crm2.accounts" }
names = "lower"
[apply]
batch_transactions = 5_000
batch_bytes = 1048576
batch_time = "500ms"
[admin]
listen = "off"
[log]
format = "json"
level = "warn,binbridge::source=debug"
"#,
    );
    assert_eq!(config.target.endpoint.tls.ca, [PathBuf::from("/etc/a.pem"), PathBuf::from("/etc/b,c.pem")]);
    assert_eq!(config.filter.include[1], Pattern { schema: "crm".into(), table: Some("accounts".into()) });
    assert_eq!(config.filter.exclude.len(), 1);
    assert_eq!(config.filter.rename.len(), 2);
    assert_eq!(config.filter.names, Names::Lower);
    assert_eq!((config.apply.batch_transactions, config.apply.batch_bytes), (5000, 1 << 20));
    assert_eq!((config.admin.listen, config.log.format), (None, Format::Json));
    assert_eq!(config.target.endpoint.secret, Secret::TokenCommand("az account get-access-token".into()));
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let variables = [
        ("BINBRIDGE_SOURCE__HOST", "from-env"),
        ("BINBRIDGE_SOURCE__PORT", "3307"),
        ("BINBRIDGE_FILTER__INCLUDE", "a.*, b.t"),
        ("BINBRIDGE_FILTER__RENAME", "a=x,b.t=c.t"),
        ("BINBRIDGE_MYSQLD", "not a key"),
    ];
    let loaded = load_text(GOOD, &variables, &[("source.port", "3308", "--source-port")]).unwrap();
    let endpoint = &loaded.config.source.endpoint;
    assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.user.as_str()), ("from-env", 3308, "repl"));
    assert_eq!((loaded.config.filter.include.len(), loaded.config.filter.rename.len()), (2, 2));
    let origin = |key| loaded.effective.entries.iter().find(|entry| entry.key == key).unwrap().origin.clone();
    assert_eq!(origin("source.host"), "env BINBRIDGE_SOURCE__HOST");
    assert_eq!(origin("source.port"), "flag --source-port");
    assert_eq!(origin("source.user"), "b.toml:4");
    assert_eq!(origin("target.port"), "default");
    assert_eq!(origin("target.ssl_key"), "not set");
}

#[test]
fn a_secret_of_a_higher_layer_takes_the_place_of_another_kind_below() {
    let loaded = load_text(GOOD, &[("BINBRIDGE_SOURCE__PASSWORD_ENV", "SOURCE_PW")], &[]).unwrap();
    assert_eq!(loaded.config.source.endpoint.secret, Secret::Env("SOURCE_PW".into()));
    assert!(!loaded.effective.to_string().contains("password_file = "));
}

#[test]
fn all_errors_are_reported_at_once_each_with_its_place() {
    let text =
        "[source]\nhots = \"a\"\nport = 99999\nheartbeat = 5\n[target]\nhost = \"b\"\nuser = 7\n[aply]\n";
    let variables = [("BINBRIDGE_APPLY__DEPHT", "4"), ("BINBRIDGE_APPLY__MEMORY", "4 MB")];
    let problems = load_text(text, &variables, &[("log.level", "info,x=loud", "--log-level")]).unwrap_err();
    assert_eq!(
        problems.to_string(),
        r#"10 errors in the configuration
b.toml:2:1: unknown key `source.hots`
   |
 2 | hots = "a"
   | ^^^^
  help: did you mean `host`?
b.toml:3:8: `source.port`: must be 1 to 65535
   |
 3 | port = 99999
   |        ^^^^^
b.toml:4:13: `source.heartbeat` must be a string, not an integer
   |
 4 | heartbeat = 5
   |             ^
  help: a duration needs a unit, such as "5s" or "2m"
b.toml:7:8: `target.user` must be a string, not an integer
   |
 7 | user = 7
   |        ^
b.toml:8:2: unknown section [aply]
   |
 8 | [aply]
   |  ^^^^
  help: did you mean [apply]?
b.toml: `source.host` is missing
  help: write host = "..." under [source], or set BINBRIDGE_SOURCE__HOST
b.toml: `source.user` is missing
  help: write user = "..." under [source], or set BINBRIDGE_SOURCE__USER
env BINBRIDGE_APPLY__DEPHT: unknown key `apply.depht`
  help: did you mean `BINBRIDGE_APPLY__DEPTH`?
env BINBRIDGE_APPLY__MEMORY: `apply.memory`: expected a size in B, KiB, MiB or GiB, such as "4 MiB"
flag --log-level: `log.level`: log level 'info,x=loud' cannot be understood: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5"#
    );
    let error = crate::error::Error::from(problems);
    assert_eq!((error.code(), error.exit_code()), (Code::Config, 78));
}

#[test]
fn broken_toml_is_located_and_what_can_be_read_is_checked_too() {
    let told = told("port = \nhost2 = 1\n[source]\n");
    assert!(told.contains("b.toml:9:8:"), "{told}");
    assert!(told.contains("b.toml:10:1: unknown key `target.host2`"), "{told}");
    assert!(told.contains("duplicate key"), "{told}");
}

#[test]
fn a_password_in_the_file_is_refused_and_not_repeated() {
    for line in [
        "password = \"hunter2\"",
        "password = hunter2",
        "passwd = \"hunter2\" # the old one",
        "password = \"\"\"\nhunter2",
        "[x]\nsource = { pass = \"hunter2\" }",
        "password_env = \"hunter2!\"",
        "host = \"root:hunter2@db\"\npassword = \"x\"",
    ] {
        let text = format!("[bridge]\n[source]\nuser = \"u\"\n{line}\n");
        let told =
            load_text(&text, &[("BINBRIDGE_TARGET__PASSWORD", "hunter2")], &[]).unwrap_err().to_string();
        let line_of_host = line.starts_with("host");
        assert!(line_of_host || !told.contains("hunter2"), "{line}: {told}");
        assert!(
            told.contains("env BINBRIDGE_TARGET__PASSWORD: a secret does not stand in the configuration"),
            "{told}"
        );
    }
    let told = told("password = \"hunter2\"");
    assert!(told.contains("b.toml:9:1: a secret does not stand in the configuration"), "{told}");
    assert!(told.contains(" 9 | password = ...\n"), "{told}");
    assert!(told.contains("help: use password_file"), "{told}");
}

#[test]
fn two_kinds_of_secret_in_one_place_are_an_error() {
    assert!(
        told("password_env = \"A\"\ntoken_file = \"/x\"\n")
            .contains("both password_env and token_file are given")
    );
}

#[test]
fn what_is_shown_names_secrets_and_never_shows_commands() {
    let loaded = load_text(&format!("{GOOD}password_command = \"echo hunter2\"\n"), &[], &[]).unwrap();
    let shown = loaded.effective.to_string();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("password_file = \"/run/secrets/source\"            # b.toml:5"), "{shown}");
    assert!(shown.contains("password_command = <command, not shown>          # b.toml:9"), "{shown}");
    assert!(shown.contains("# not set: password_env, password_command, token_file,"), "{shown}");
    assert!(shown.starts_with("[bridge]\nname = \"main\" "), "{shown}");
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn a_ca_is_used_once_it_is_named() {
    let tls = config("ssl_ca = \"/etc/ca.pem\"\n").target.endpoint.tls;
    assert_eq!(tls.mode, SslMode::VerifyCa);
    let told = told("ssl_ca = \"/etc/ca.pem\"\nssl_mode = \"required\"\n");
    assert!(told.contains("b.toml:10:12: `target.ssl_mode`: required does not look at ssl_ca"), "{told}");
}

#[test]
fn a_token_insists_on_tls_and_a_certificate_on_its_key() {
    assert!(
        told("token_file = \"/t\"\n")
            .contains("a token is sent in clear text, and preferred does not insist on TLS")
    );
    assert!(told("ssl_cert = \"/c\"\n").contains("`target.ssl_cert`: needs ssl_key beside it"));
    assert!(told("ssl_key = \"/c\"\n").contains("`target.ssl_key`: needs ssl_cert beside it"));
}

#[test]
fn values_that_do_not_go_together_are_errors() {
    assert!(
        told("[apply]\nbatch_bytes = \"64 MiB\"\n").contains("must not be larger than apply.memory, 58 MiB")
    );
    assert!(told("[apply]\nworkers = 65\n").contains("`apply.workers`: must be 1 to 64, or auto"));
    assert!(told("[apply]\nworkers = \"many\"\n").contains("`apply.workers` must be an integer or \"auto\""));
    let told = load_text(GOOD, &[("BINBRIDGE_SOURCE__HEARTBEAT", "40s")], &[]).unwrap_err().to_string();
    assert!(told.contains("`source.read_timeout`: must be at least twice source.heartbeat"), "{told}");
}

#[test]
fn filters_and_renames_name_what_is_wrong_in_them() {
    let told =
        told("[filter]\ninclude = [\"shop.*\", \"crm\"]\nrename = { \"a.t\" = \"b\", \"c\" = \"mysql\" }\n");
    assert!(
        told.contains("b.toml:10:22: `crm` in filter.include: expected \"db.*\" or \"db.table\"; all tables"),
        "{told}"
    );
    assert!(told.contains("a table becomes a table"), "{told}");
    assert!(told.contains("the server's own schemas are not replicated"), "{told}");
    let told = self::told("[filter]\nrename = { \"a.t\" = \"x.t\", \"b.t\" = \"x.t\" }\n");
    assert!(told.contains("two tables would become `x.t`"), "{told}");
}

#[test]
fn a_key_in_the_wrong_place_is_sent_home() {
    let told = load_text(&format!("host = \"x\"\napply = 3\n{GOOD}"), &[], &[]).unwrap_err().to_string();
    assert!(told.contains("b.toml:1:1: unknown key `host` outside of any section"), "{told}");
    assert!(told.contains("help: `host` belongs to [source] or [target]"), "{told}");
    assert!(told.contains("help: write [apply] and its keys below it"), "{told}");
    assert!(self::told("listen = \"off\"\n").contains("help: `listen` belongs to [admin]"));
}

#[test]
fn a_file_that_is_missing_is_the_only_error() {
    let problems = load(Some(Path::new("/nonexistent/b.toml")), &[], &[]).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert!(problems.to_string().contains("/nonexistent/b.toml: cannot be read"), "{problems}");
}

#[test]
fn without_a_file_the_environment_is_enough() {
    let variables = ["SOURCE__HOST", "SOURCE__USER", "TARGET__HOST", "TARGET__USER"];
    let variables: Vec<_> =
        variables.iter().map(|name| (format!("{ENV_PREFIX}{name}"), "x".to_owned())).collect();
    assert_eq!(load(None, &variables, &[]).unwrap().config.target.endpoint.host, "x");
}

#[test]
fn every_default_is_a_good_value() {
    let loaded = load_text(GOOD, &[], &[]).unwrap();
    let variables: Vec<_> =
        KEYS.iter().filter_map(|key| key.default.map(|default| (key.variable(), default))).collect();
    let borrowed: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(load_text(GOOD, &borrowed, &[]).unwrap().config.apply, loaded.config.apply);
}

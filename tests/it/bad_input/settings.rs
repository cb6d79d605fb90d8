//! Configurations that cannot be understood, and servers whose settings cannot work.

use super::*;

/// `binbridge run` with a file of these words.
fn run_with(toml: &str) -> (Output, std::path::PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("binbridge.toml");
    std::fs::write(&path, toml).unwrap();
    let mut command = std::process::Command::new(crate::support::program());
    command.args(["run", "--config"]).arg(&path);
    (command.output().unwrap(), path, folder)
}

#[test]
fn every_mistake_in_the_configuration_is_told_at_once_with_its_place() {
    let (output, path, _folder) = run_with(
        "[source]\nhost = \"db\"\nuser = \"repl\"\npasword_file = \"/secret\"\nport = 70000\nheartbeat = \"never\"\n\
         [target]\nhosst = \"x\"\nuser = 7\nssl_mode = \"verify\"\npassword = \"hunter2\"\n[filter]\ninclude = [\"nodot.\"]\n\
         [aply]\nworkers = 1\n",
    );
    let said = refused(&output, "BB1002", 78);
    for place in ["4:1", "5:8", "6:13", "8:1", "9:8", "10:12", "11:1", "13:12", "14:2"] {
        says(&said, &[&format!("{}:{place}: ", path.display())]);
    }
    says(&said, &["10 errors", "password_file", "target.host", "verify-ca", "apply"]);
    assert!(!said.contains("hunter2") && !said.contains("/secret"), "{said}");

    let (output, path, _folder) = run_with("[source]\nhost = \"a\nuser = 1\n");
    says(&refused(&output, "BB1002", 78), &[&format!("{}:2:", path.display())]);
    let missing = std::process::Command::new(crate::support::program())
        .args(["run", "--config", "/nowhere/binbridge.toml"])
        .output()
        .unwrap();
    says(&refused(&missing, "BB1002", 78), &["/nowhere/binbridge.toml"]);
    for nonsense in [&["fly"][..], &["run", "--fast"], &["position", "--offset", "x"]] {
        let output = std::process::Command::new(crate::support::program()).args(nonsense).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
    }
}

#[test]
fn a_source_without_binlog_is_refused_and_a_taken_admin_address_is_told() {
    let pair = Pair::start(ServerOptions::new("source"));
    let mut bridge = pair.bridge_from_here("settings");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let own = bridge.options().clone();
    bridge.options().set("admin.listen", &format!("\"{address}\""));
    bridge.run();
    let status = bridge.wait_ended(LIMIT);
    let log = bridge.log();
    assert_eq!(status.code(), Some(74), "{log}");
    says(&log, &["BB2005", &address]);
    std::fs::remove_file(bridge.log_path()).unwrap();
    *bridge.options() = own;

    let here = pair.source.coordinates();
    pair.source.restart_with(|options| options.lines.push("skip_log_bin".to_owned()));
    says(&run_refused(&mut bridge, "BB3105", 78), &["source", "log_bin"]);
    let offset = here.offset.to_string();
    let args = ["position", "--replace", "--file", &here.file, "--offset", &offset];
    says(&refused(&bridge.output(&args), "BB3105", 78), &["source", "log_bin"]);
}

/// It counts for row events from any session: the bridge's, too.
#[test]
fn a_target_that_passes_over_errors_in_row_events_is_refused() {
    let target = azure_options("target").line("replica_skip_errors=1032");
    let pair = Pair::with_target(ServerOptions::new("source"), target);
    let bridge = Bridge::new(pair.options("skips"));
    let here = pair.source.coordinates();
    let offset = here.offset.to_string();
    let args = ["position", "--file", &here.file, "--offset", &offset];
    says(&refused(&bridge.output(&args), "BB4010", 78), &["replica_skip_errors = 1032", "must be OFF"]);
    let output = bridge.output(&["check"]);
    says(&String::from_utf8_lossy(&output.stdout), &["BB4010", "replica_skip_errors = 1032"]);
    assert_eq!(output.status.code(), Some(78));
}

//! Seeding a target with a dump.

use std::process::Stdio;

use super::server::Server;

/// Dumps `databases` of `from` (a stopped replica, or a source nobody writes to) and restores them into `to` through
/// its administrator's account. Definers are left in: what the account may not create fails as it would in the cloud.
pub fn dump_restore(from: &Server, to: &Server, databases: &[&str]) {
    let mut dump = from.mysql().mysqldump();
    dump.args(["--no-defaults", "-uroot", "-S"]).arg(from.socket());
    dump.args([
        "--single-transaction",
        "--set-gtid-purged=OFF",
        "--routines",
        "--triggers",
        "--no-tablespaces",
    ]);
    dump.arg("--databases").args(databases);
    let mut dumping = dump
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run mysqldump: {error}"));
    let text = dumping.stdout.take().expect("the dump's output");

    let restored = to.cli_as(to.admin()).stdin(text).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let restored = restored.unwrap_or_else(|error| panic!("cannot run mysql: {error}"));
    let dumped = dumping.wait_with_output().unwrap_or_else(|error| panic!("mysqldump: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    // The restore first: when it ends early, the dump fails for want of a reader.
    assert!(restored.status.success(), "restoring into {}: {}", to.name(), said(&restored.stderr));
    assert!(dumped.status.success(), "dumping {}: {}", from.name(), said(&dumped.stderr));
}

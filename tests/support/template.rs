//! Data folders: initialised once per version, kept in the cache, copied for each server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::install::{Installation, cached};
use super::launch;
use super::options::common_lines;
use super::wait::wait_until;

/// Counts changes to how a template is made, so that older ones are not used.
const RECIPE: u32 = 1;

/// Copies a fresh data folder to `to`, which must not exist.
pub(super) fn copy_data_folder(mysql: &Installation, lower_case_table_names: u8, to: &Path) {
    let name = format!("data-{}-lower{lower_case_table_names}-{RECIPE}", mysql.version_text());
    let made = cached(&name, |folder| make(mysql, lower_case_table_names, folder));
    let template = made.unwrap_or_else(|error| panic!("cannot initialise a data folder: {error}"));
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(&template).arg(to).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "cannot copy {} to {}",
        template.display(),
        to.display()
    );
}

fn make(mysql: &Installation, lower_case_table_names: u8, folder: &Path) -> Result<(), String> {
    let work = folder.with_file_name("work");
    fs::create_dir_all(&work).map_err(|error| error.to_string())?;
    let mut lines = common_lines(mysql);
    lines.extend([
        format!("datadir={}", folder.display()),
        format!("socket={}", short_socket(&work).display()),
        format!("pid_file={}", work.join("pid").display()),
        format!("log_error={}", work.join("error.log").display()),
        format!("lower_case_table_names={lower_case_table_names}"),
        "skip_log_bin".to_owned(),
        "skip_networking".to_owned(),
        // Small to copy; each server makes its own as large as it is told.
        "innodb_redo_log_capacity=8M".to_owned(),
    ]);
    let configuration = work.join("my.cnf");
    fs::write(&configuration, lines.join("\n") + "\n").map_err(|error| error.to_string())?;
    let defaults = format!("--defaults-file={}", configuration.display());

    let initialised = mysql.mysqld().args([&defaults, "--initialize-insecure"]).output();
    let initialised = initialised.map_err(|error| format!("cannot run mysqld: {error}"))?;
    if !initialised.status.success() {
        let log = fs::read_to_string(work.join("error.log")).unwrap_or_default();
        return Err(format!("{}{log}", String::from_utf8_lossy(&initialised.stderr)));
    }
    load_time_zones(mysql, &defaults, &short_socket(&work))?;
    remove_what_is_individual(folder)
}

/// The cache may lie deeper than a socket path can be long.
fn short_socket(work: &Path) -> PathBuf {
    let own = work.parent().and_then(Path::file_name).unwrap_or_default();
    std::env::temp_dir().join(own).with_extension("sock")
}

/// Both clouds have the time zone tables filled. Without the system's zone files they stay empty.
fn load_time_zones(mysql: &Installation, defaults: &str, socket: &Path) -> Result<(), String> {
    if !Path::new("/usr/share/zoneinfo").is_dir() {
        return Ok(());
    }
    let mut command = mysql.mysqld();
    command.arg(defaults);
    let mut server = launch::spawn(command).map_err(|error| error.to_string())?;
    wait_until("the template's server is up", Duration::from_secs(60), || {
        server.ended() || std::os::unix::net::UnixStream::connect(socket).is_ok()
    });
    let zones = mysql.mysql_tzinfo_to_sql().arg("/usr/share/zoneinfo").stderr(Stdio::null()).output();
    let zones = zones.map_err(|error| format!("cannot read time zones: {error}"))?.stdout;
    let sql = [zones, b"\nSHUTDOWN;\n".to_vec()].concat();
    let mut client = mysql
        .mysql()
        .args(["--no-defaults", "-uroot", "-S"])
        .arg(socket)
        .arg("mysql")
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run mysql: {error}"))?;
    {
        use std::io::Write as _;
        let mut input = client.stdin.take().ok_or("no pipe to mysql")?;
        input.write_all(&sql).map_err(|error| format!("mysql: {error}"))?;
    }
    let status = client.wait().map_err(|error| error.to_string())?;
    wait_until("the template's server is down", Duration::from_secs(60), || server.ended());
    let _ = fs::remove_file(socket);
    if status.success() { Ok(()) } else { Err("loading time zones failed".to_owned()) }
}

/// Each server draws its own uuid. The RSA pair for passwords without TLS is kept: making one takes time.
fn remove_what_is_individual(folder: &Path) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let certificate = Path::new(&name).extension().is_some_and(|kind| kind == "pem");
        let kept = ["private_key.pem", "public_key.pem"].contains(&name.as_str());
        if certificate && !kept || name == "auto.cnf" || name == "ib_buffer_pool" {
            fs::remove_file(entry.path()).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

//! Fetching MySQL's packages with apt, without root and without touching the system.
//!
//! apt runs with folders of its own: its sources are the mirror the system already uses with one other suite, its
//! list of installed packages is empty, so it resolves everything down to libc. What it downloads (signature checked
//! against the distribution's keyring) is unpacked into a folder, not installed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::mirror::archive_mirrors;

/// What the wanted packages need only for scripts that are not run here.
const NOT_NEEDED: [&str; 3] = ["perl", "libperl", "libgdbm"];
const PROGRAMS: [&str; 5] = ["mysql", "mysqladmin", "mysqlbinlog", "mysqldump", "mysql_tzinfo_to_sql"];

/// Fetches and unpacks into the new folder `root`; `work` is an empty folder for what is needed on the way.
pub(super) fn fetch(root: &Path, work: &Path) -> Result<(), String> {
    let distribution = Distribution::of_this_machine()?;
    let mirrors = distribution.mirrors();
    if mirrors.is_empty() {
        return Err(format!("apt's sources name no mirror of {}", distribution.name));
    }
    let mut failures = Vec::new();
    for (n, mirror) in mirrors.iter().enumerate() {
        let apt = Apt::new(work.join(n.to_string()), &distribution, mirror)?;
        match apt.unpack_into(root) {
            Ok(()) => return prune(root),
            Err(failure) => failures.push(format!("{mirror}: {failure}")),
        }
    }
    Err(failures.join("\n"))
}

struct Distribution {
    name: &'static str,
    /// The suite this machine is installed from, as its sources may call it.
    own_suites: Vec<String>,
    suites: Vec<String>,
    components: &'static str,
    keyring: PathBuf,
}

impl Distribution {
    fn of_this_machine() -> Result<Self, String> {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let field = |name: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let codename = field("VERSION_CODENAME");
        match field("ID").as_str() {
            // MySQL itself is in sid only: a stable Debian has MariaDB.
            "debian" => Ok(Self {
                name: "Debian",
                own_suites: [&codename, "stable", "oldstable", "testing", "unstable", "sid"]
                    .map(str::to_owned)
                    .to_vec(),
                suites: vec!["sid".to_owned()],
                components: "main",
                keyring: keyring("debian-archive-keyring")?,
            }),
            "ubuntu" => Ok(Self {
                name: "Ubuntu",
                own_suites: vec![codename.clone()],
                suites: vec![codename.clone(), format!("{codename}-updates")],
                components: "main universe",
                keyring: keyring("ubuntu-archive-keyring")?,
            }),
            other => Err(format!("no MySQL packages are known for the distribution '{other}'")),
        }
    }

    fn mirrors(&self) -> Vec<String> {
        let own: Vec<&str> = self.own_suites.iter().map(String::as_str).collect();
        let mut mirrors = Vec::new();
        for file in source_files() {
            for mirror in archive_mirrors(&fs::read_to_string(file).unwrap_or_default(), &own) {
                if !mirrors.contains(&mirror) {
                    mirrors.push(mirror);
                }
            }
        }
        mirrors
    }
}

fn keyring(name: &str) -> Result<PathBuf, String> {
    let folder = Path::new("/usr/share/keyrings");
    let found =
        ["gpg", "pgp"].map(|kind| folder.join(format!("{name}.{kind}"))).into_iter().find(|p| p.exists());
    found.ok_or_else(|| format!("there is no keyring {name} in {}", folder.display()))
}

fn source_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let mut parts: Vec<PathBuf> = parts.map(|entry| entry.path()).collect();
    parts.retain(|path| path.extension().is_some_and(|kind| kind == "list" || kind == "sources"));
    parts.sort();
    files.append(&mut parts);
    files
}

/// apt with folders of its own.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: PathBuf, distribution: &Distribution, mirror: &str) -> Result<Self, String> {
        for part in ["state/lists/partial", "cache/archives/partial", "parts", "packages"] {
            fs::create_dir_all(folder.join(part))
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let architecture = run(Command::new("dpkg").arg("--print-architecture"))?;
        let options = format!("arch={} signed-by={}", architecture.trim(), distribution.keyring.display());
        let mut sources = String::new();
        for suite in &distribution.suites {
            let _ = writeln!(sources, "deb [{options}] {mirror} {suite} {}", distribution.components);
        }
        for (name, text) in [("sources.list", sources.as_str()), ("status", "")] {
            fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Self { folder })
    }

    fn unpack_into(&self, root: &Path) -> Result<(), String> {
        run(self.command("apt-get").args(["-qq", "update"]))?;
        let wanted = [self.newest("mysql-server-core")?, self.newest("mysql-client-core")?];
        let packages = self.closure(&wanted)?;
        run(self.command("apt-get").args(["-qq", "download"]).args(&packages))?;
        fs::create_dir_all(root).map_err(|error| format!("{}: {error}", root.display()))?;
        let files = fs::read_dir(self.folder.join("packages")).map_err(|error| error.to_string())?;
        for file in files.flatten() {
            run(Command::new("dpkg").arg("-x").arg(file.path()).arg(root))?;
        }
        Ok(())
    }

    /// `stem` itself or, where packages carry their version in the name, the newest of `stem-<version>`.
    fn newest(&self, stem: &str) -> Result<String, String> {
        let names = run(self.command("apt-cache").args(["pkgnames", stem]))?;
        if names.lines().any(|name| name == stem) {
            return Ok(stem.to_owned());
        }
        let version = |name: &str| -> Option<Vec<u32>> {
            let digits = name.strip_prefix(stem)?.strip_prefix('-')?;
            digits.split('.').map(|part| part.parse().ok()).collect()
        };
        let newest = names.lines().filter_map(|name| Some((version(name)?, name))).max();
        newest.map(|(_, name)| name.to_owned()).ok_or_else(|| format!("no package {stem} there"))
    }

    /// The wanted packages with all they depend on.
    fn closure(&self, wanted: &[String]) -> Result<Vec<String>, String> {
        let plan = ["-qq", "--print-uris", "--no-install-recommends", "install"];
        let listing = run(self.command("apt-get").args(plan).args(wanted))?;
        // Each line: 'address' name_version_architecture.deb size hash
        let names = listing.lines().filter_map(|line| line.split_whitespace().nth(1)?.split_once('_'));
        let names =
            names.map(|(name, _)| name).filter(|name| !NOT_NEEDED.iter().any(|not| name.starts_with(not)));
        Ok(names.map(str::to_owned).collect())
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.folder.display();
        let mut command = Command::new(program);
        command.current_dir(self.folder.join("packages")).env("LC_ALL", "C.UTF-8");
        for option in [
            format!("Dir::State={folder}/state"),
            format!("Dir::State::status={folder}/status"),
            format!("Dir::Cache={folder}/cache"),
            format!("Dir::Etc::sourcelist={folder}/sources.list"),
            format!("Dir::Etc::sourceparts={folder}/parts"),
            // The system's pins and default release speak of other suites.
            "Dir::Etc::preferences=/dev/null".to_owned(),
            format!("Dir::Etc::preferencesparts={folder}/parts"),
            "APT::Default-Release=".to_owned(),
            "APT::Sandbox::User=".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
            "Acquire::Check-Valid-Until=false".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::Retries=3".to_owned(),
            "Debug::NoLocking=true".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// Removes what is never run here: two thirds of what was unpacked.
fn prune(root: &Path) -> Result<(), String> {
    for folder in ["usr/share/doc", "usr/share/man", "usr/share/locale"] {
        let _ = fs::remove_dir_all(root.join(folder));
    }
    let programs = fs::read_dir(root.join("usr/bin")).map_err(|error| format!("usr/bin: {error}"))?;
    for program in programs.flatten().filter(|entry| !PROGRAMS.iter().any(|kept| entry.file_name() == *kept))
    {
        let _ = fs::remove_file(program.path());
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

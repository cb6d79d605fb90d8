//! Which MySQL is run: the one named, the one installed, or the distribution's, fetched once into a cache folder.

mod fetch;
mod mirror;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub use mirror::archive_mirrors;

const REMEDY: &str = "set BINBRIDGE_MYSQLD to a mysqld 8.0.30 or later (mysql, mysqldump and mysqlbinlog beside it or on \
                      PATH), or run where it can be fetched: on Debian or Ubuntu with apt-get and dpkg";

/// A MySQL to run: the server and its command-line programs.
#[derive(Debug)]
pub struct Installation {
    programs: Programs,
    version_text: String,
    version: (u32, u32, u32),
}

#[derive(Debug)]
enum Programs {
    /// As the system has it.
    System { mysqld: PathBuf },
    /// Packages unpacked under `root`, with their own libc: only their own loader can start them.
    Unpacked { root: PathBuf, loader: PathBuf, libraries: OsString },
}

/// The MySQL that tests run, found or fetched at the first call. `BINBRIDGE_MYSQLD` (a server program) or
/// `BINBRIDGE_MYSQL_ROOT` (a folder with another version's packages unpacked) wins, then a `mysqld` on PATH, then the
/// cache.
pub fn mysqld() -> &'static Installation {
    static FOUND: OnceLock<Installation> = OnceLock::new();
    FOUND.get_or_init(|| {
        Installation::find().unwrap_or_else(|why| panic!("no MySQL to test with: {why}\n{REMEDY}"))
    })
}

/// Whether [`mysqld`] has to fetch MySQL first, which takes a while.
pub fn must_fetch() -> bool {
    std::env::var_os("BINBRIDGE_MYSQLD").is_none()
        && on_path("mysqld").is_none()
        && !cache().join(unpacked()).exists()
}

fn unpacked() -> String {
    format!("mysql-{}", std::env::consts::ARCH)
}

/// Where what is fetched once is kept: `BINBRIDGE_CACHE`, else `XDG_CACHE_HOME`/binbridge, else ~/.cache/binbridge.
pub(super) fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("BINBRIDGE_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("binbridge")))
        .or_else(|| Some(variable("HOME")?.join(".cache/binbridge")))
        .expect("BINBRIDGE_CACHE, XDG_CACHE_HOME or HOME says where to keep MySQL");
    fs::create_dir_all(&cache).unwrap_or_else(|error| panic!("cannot make {}: {error}", cache.display()));
    cache
}

/// Makes `cache()/name` by `make` unless it is there. Only one process makes, the others wait for it; `make` gets a
/// folder that is renamed when it is complete, so a folder that is there is complete.
pub(super) fn cached(name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let cache = cache();
    let folder = cache.join(name);
    if folder.exists() {
        return Ok(folder);
    }
    let lock = File::create(cache.join("lock")).map_err(|error| format!("{}: {error}", cache.display()))?;
    lock.lock().map_err(|error| format!("{}/lock: {error}", cache.display()))?;
    if !folder.exists() {
        let work =
            tempfile::Builder::new().prefix("making-").tempdir_in(&cache).map_err(|e| e.to_string())?;
        let complete = work.path().join("complete");
        make(&complete)?;
        fs::rename(&complete, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(folder)
}

impl Installation {
    fn find() -> Result<Self, String> {
        if let Some(mysqld) = std::env::var_os("BINBRIDGE_MYSQLD") {
            return Self::with(Programs::System { mysqld: mysqld.into() });
        }
        if let Some(root) = std::env::var_os("BINBRIDGE_MYSQL_ROOT") {
            return Self::with(Programs::unpacked(root.into())?);
        }
        // A mysqld on PATH that is MariaDB's cannot stand in for MySQL.
        if let Some(found) = on_path("mysqld").and_then(|mysqld| Self::with(Programs::System { mysqld }).ok())
        {
            return Ok(found);
        }
        let root = cached(&unpacked(), |root| {
            let work = root.with_extension("apt");
            fetch::fetch(root, &work)
        })?;
        Self::with(Programs::unpacked(root)?)
    }

    fn with(programs: Programs) -> Result<Self, String> {
        let output = programs.command("mysqld").arg("--version").output();
        let output = output.map_err(|error| format!("cannot run {programs:?}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
        // "/usr/sbin/mysqld  Ver 8.0.44-0ubuntu0.24.04.1 for Linux on x86_64 ((Ubuntu))"
        let version_text =
            text.split(" Ver ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let mut numbers = version_text.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if text.contains("MariaDB") || version < (8, 0, 30) {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("not a MySQL of 8.0.30 or later: {programs:?} says '{text}' {stderr}"));
        }
        Ok(Self { version_text: version_text.to_owned(), version, programs })
    }

    /// The version, as in (9, 7, 4).
    pub fn version(&self) -> (u32, u32, u32) {
        self.version
    }

    /// The version as the server writes it, such as "9.7.4-2".
    pub fn version_text(&self) -> &str {
        &self.version_text
    }

    /// The server.
    pub fn mysqld(&self) -> Command {
        self.programs.command("mysqld")
    }

    /// The command-line client.
    pub fn mysql(&self) -> Command {
        self.programs.command("mysql")
    }

    /// The dump program.
    pub fn mysqldump(&self) -> Command {
        self.programs.command("mysqldump")
    }

    /// The binlog reader.
    pub fn mysqlbinlog(&self) -> Command {
        self.programs.command("mysqlbinlog")
    }

    /// Turns the system's time zone files into SQL.
    pub(super) fn mysql_tzinfo_to_sql(&self) -> Command {
        self.programs.command("mysql_tzinfo_to_sql")
    }

    /// What the server must be told about where its files are.
    pub(super) fn settings(&self) -> Vec<String> {
        let Programs::Unpacked { root, .. } = &self.programs else { return Vec::new() };
        let root = root.display();
        vec![
            format!("basedir={root}/usr"),
            format!("lc_messages_dir={root}/usr/share/mysql"),
            format!("character_sets_dir={root}/usr/share/mysql/charsets"),
            format!("plugin_dir={root}/usr/lib/mysql/plugin"),
        ]
    }
}

impl Programs {
    fn unpacked(root: PathBuf) -> Result<Self, String> {
        let folders = library_folders(&root);
        let loader = folders.iter().find_map(|folder| loader_in(folder, &root));
        let loader = loader.ok_or_else(|| format!("no dynamic loader in {}", root.display()))?;
        let libraries = std::env::join_paths(&folders).map_err(|error| error.to_string())?;
        Ok(Self::Unpacked { root, loader, libraries })
    }

    fn command(&self, program: &str) -> Command {
        match self {
            Self::System { mysqld } if program == "mysqld" => Command::new(mysqld),
            Self::System { mysqld } => {
                let beside = mysqld.with_file_name(program);
                Command::new(if beside.exists() { beside } else { PathBuf::from(program) })
            }
            Self::Unpacked { root, loader, libraries } => {
                let folder = if program == "mysqld" { "usr/sbin" } else { "usr/bin" };
                let mut command = Command::new(loader);
                command.arg("--inhibit-cache").arg("--library-path").arg(libraries);
                command.arg(root.join(folder).join(program));
                // The system's libraries and OpenSSL configuration are of other versions.
                command
                    .env_remove("LD_PRELOAD")
                    .env_remove("LD_LIBRARY_PATH")
                    .env("OPENSSL_CONF", "/dev/null");
                command
            }
        }
    }
}

/// The folders with libraries, `lib/<architecture>-linux-gnu` and their likes, before and after /usr was merged.
fn library_folders(root: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for parent in ["usr/lib", "lib"].map(|name| root.join(name)) {
        let children = fs::read_dir(&parent).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.extend(
            children.filter(|child| child.to_string_lossy().contains("-linux-gnu") && child.is_dir()),
        );
        folders.push(parent);
    }
    folders.extend(["usr/lib64", "lib64", "usr/lib/mysql/private"].map(|name| root.join(name)));
    folders.retain(|folder| folder.is_dir());
    folders
}

/// The loader, named ld-linux-x86-64.so.2, ld-linux-aarch64.so.1, ld64.so.1 ... ; never the system's through a link.
fn loader_in(folder: &Path, root: &Path) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let named = name.starts_with("ld-linux") || name.starts_with("ld64.so");
        named && path.canonicalize().is_ok_and(|real| real.starts_with(&root))
    })
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

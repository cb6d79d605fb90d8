//! Where servers live: one temporary folder per process, removed with its last user.
//!
//! A killed process cannot remove its folder. The folder therefore holds a lock file that its process keeps locked;
//! the next process that starts removes the folders whose lock nobody holds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

const PREFIX: &str = "binbridge-";
/// Unix socket paths end at 108 bytes; `/<server name>-<n>/s` and the random part still have to fit.
const LONGEST_PARENT: usize = 40;

/// The folder of this process; whoever holds it keeps it on disk.
pub(super) struct Folder {
    // Both are released by their Drop, the lock last.
    path: tempfile::TempDir,
    _lock: File,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        self.path.path()
    }
}

/// The folder of this process, made at the first use and again after its last user has gone.
pub(super) fn folder() -> Arc<Folder> {
    static CURRENT: Mutex<Weak<Folder>> = Mutex::new(Weak::new());
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = current.upgrade() {
        return folder;
    }
    let folder = Arc::new(make());
    *current = Arc::downgrade(&folder);
    folder
}

fn make() -> Folder {
    let parent = parent();
    remove_abandoned(&parent);
    let path = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(&parent)
        .unwrap_or_else(|error| panic!("cannot make a folder in {}: {error}", parent.display()));
    // Locked before it gets its name, so that nobody finds it unlocked.
    let unnamed = path.path().join("lock.new");
    let lock = File::create(&unnamed).expect("a new lock file");
    lock.lock().expect("lock of a new file");
    fs::rename(&unnamed, path.path().join("lock")).expect("name of the lock file");
    Folder { path, _lock: lock }
}

fn parent() -> PathBuf {
    let configured = std::env::temp_dir();
    if configured.as_os_str().len() <= LONGEST_PARENT { configured } else { PathBuf::from("/tmp") }
}

fn remove_abandoned(parent: &Path) {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_abandoned(&entry.path()) {
                // Another process may be at the same; what is left then is left to the next one.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    });
}

fn is_abandoned(folder: &Path) -> bool {
    File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok())
}

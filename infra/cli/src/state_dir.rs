//! The local folder of a workspace's state: `.bulk/<workspace>/` in the working folder, or in the
//! nearest parent folder with a `.bulk`.
//!
//! One engine can use it at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use intercom_bulk::domain::run::Run;
use intercom_bulk_emulator::private;

/// The folder of all states.
const FOLDER: &str = ".bulk";
/// The file with the name of the last used state, for commands in a second terminal.
const LAST: &str = "last";
/// The lock file: an engine that works on the state holds its lock.
const LOCK: &str = "lock";
/// The number of attempts to lock, and the pause between two.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The reason that the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("cannot use the state directory {path}: {source}")]
    Files { path: PathBuf, source: std::io::Error },
    #[error("another `run` works on {path}: watch it with `status`, or stop it first")]
    Taken { path: PathBuf },
    #[error("there is no run yet: start one with `run`, or name its state with --state DIR")]
    Nothing,
}

/// A state directory, locked by this process.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl Place {
    /// Locks the state directory of a workspace, or the named one, for this process.
    pub(crate) fn take(named: Option<&Path>, workspace: &str) -> Result<Self, PlaceError> {
        let folder = folder();
        let path = named.map_or_else(|| folder.join(workspace), Path::to_owned);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PlaceError::Files { path, source }
        };
        private::folder(&path).map_err(failed(&path))?;
        if named.is_none() {
            // Earlier versions let all users read them.
            private::narrow(&folder);
            private::narrow(&path);
        }
        let lock = path.join(LOCK);
        let file = private::file(&lock).map_err(failed(&lock))?;
        // `status` may hold the lock for a moment.
        let is_ours = (0..LOCK_TRIES).any(|attempt| {
            std::thread::sleep(if attempt == 0 { Duration::ZERO } else { LOCK_PAUSE });
            file.try_lock().is_ok()
        });
        if !is_ours {
            return Err(PlaceError::Taken { path });
        }
        if named.is_none() {
            let last = folder.join(LAST);
            std::fs::write(&last, workspace).map_err(failed(&last))?;
        }
        Ok(Self { path, _lock: file })
    }

    /// Returns whether a process works on a state directory; `None` if `run` never used it.
    pub(crate) fn is_held(path: &Path) -> Option<bool> {
        let lock = File::options().write(true).open(path.join(LOCK)).ok()?;
        Some(lock.try_lock_shared().is_err())
    }

    /// Returns whether a process works on a run whose state directory is `folder`; `None` if that is
    /// unknown (a stack's run has no folder), or if the run has ended.
    pub(crate) fn works_on(folder: Option<&Path>, run: &Run) -> Option<bool> {
        folder.filter(|_| !run.state.ended()).and_then(Self::is_held)
    }

    /// Returns the state directory of a workspace, or the named one, if a run used it.
    pub(crate) fn existing(named: Option<&Path>, workspace: &str) -> Option<PathBuf> {
        let path = named.map_or_else(|| folder().join(workspace), Path::to_owned);
        path.join(LOCK).is_file().then_some(path)
    }

    /// Returns the named state directory, or the last used one.
    pub(crate) fn last(named: Option<&Path>) -> Result<PathBuf, PlaceError> {
        let path = if let Some(path) = named {
            path.to_owned()
        } else {
            let folder = folder();
            let workspace = std::fs::read_to_string(folder.join(LAST)).map_err(|_| PlaceError::Nothing)?;
            folder.join(workspace.trim())
        };
        if path.is_dir() { Ok(path) } else { Err(PlaceError::Nothing) }
    }
}

/// Returns a warning about a state directory of another user, or of a parent folder.
///
/// A parent folder's state may have come with a clone of another person's repository.
pub(crate) fn whose(path: &Path, named: Option<&Path>) -> Option<String> {
    let here = std::env::current_dir().unwrap_or_default();
    words(path, named.is_none() && !path.starts_with(&here), private::foreign_owner(path))
}

fn words(path: &Path, above: bool, foreign: Option<u32>) -> Option<String> {
    let path = path.display();
    match (foreign, above) {
        (Some(user), _) => Some(format!("Uses the state in {path}, which belongs to another user (uid {user}).")),
        (None, true) => Some(format!("Uses the state in {path}, found in a folder above this one.")),
        (None, false) => None,
    }
}

/// Returns the folder of all states. A command in a subfolder uses the states of its parent folder.
fn folder() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    root(&here).unwrap_or(&here).join(FOLDER)
}

/// Returns the nearest folder with states: this one or a parent.
fn root(here: &Path) -> Option<&Path> {
    here.ancestors().find(|path| path.join(FOLDER).is_dir())
}

/// Returns the folder name of a workspace: the host, and the app's id.
pub(crate) fn workspace_name(base_url: &str, app_id: &str) -> String {
    let host = base_url.split_once("://").map_or(base_url, |(_, host)| host);
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-");
    format!("{}-{}", plain(host), plain(app_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_locked_by_one_engine() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Place::is_held(dir.path()), None);
        let first = Place::take(Some(dir.path()), "w").unwrap();
        assert!(matches!(Place::take(Some(dir.path()), "w"), Err(PlaceError::Taken { .. })));
        assert_eq!(Place::is_held(dir.path()), Some(true));
        drop(first);
        assert_eq!(Place::is_held(dir.path()), Some(false));
        assert!(Place::take(Some(dir.path()), "w").is_ok());
    }

    #[test]
    fn workspace_name_is_a_safe_folder_name() {
        assert_eq!(workspace_name("http://127.0.0.1:4000", "../x"), "127.0.0.1-4000-..-x");
        assert_eq!(workspace_name("https://api.intercom.io", "ab12"), "api.intercom.io-ab12");
    }

    #[test]
    fn subfolder_uses_the_nearest_parent_state() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("plans/mine");
        std::fs::create_dir_all(&below).unwrap();
        assert_eq!(root(&below), None);
        std::fs::write(dir.path().join("Cargo.toml"), "[workspace]\nmembers = [\"infra/cli\"]\n").unwrap();
        assert_eq!(root(&below), None, "manifests are ignored");
        std::fs::create_dir(dir.path().join(FOLDER)).unwrap();
        assert_eq!(root(&below), Some(dir.path()));
        std::fs::create_dir(dir.path().join("plans").join(FOLDER)).unwrap();
        assert_eq!(root(&below), Some(dir.path().join("plans").as_path()), "the nearest");
    }

    #[test]
    fn foreign_or_parent_state_is_reported() {
        let path = Path::new("/a/.bulk/w");
        assert_eq!(words(path, false, None), None);
        assert_eq!(words(path, true, None).unwrap(), "Uses the state in /a/.bulk/w, found in a folder above this one.");
        assert!(words(path, true, Some(7)).unwrap().contains("another user (uid 7)"));
    }

    #[cfg(unix)]
    #[test]
    fn state_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let place = Place::take(Some(&path), "w").unwrap();
        let account = intercom_bulk_emulator::aws::Account::open(Some(&path)).unwrap();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            names.push(entry.file_name().into_string().unwrap());
            assert_eq!(mode, 0o600, "{names:?}");
        }
        assert!(names.contains(&"ledger.sqlite-wal".to_owned()), "{names:?}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop((place, account));
    }
}

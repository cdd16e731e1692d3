//! Where a workspace's state lies on this machine: `.bulk/<workspace>/` at the project's root, one engine at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

/// The folder at the project's root.
const FOLDER: &str = ".bulk";
/// What tells this project's root: its manifest, which names this member.
const MANIFEST: &str = "Cargo.toml";
const MEMBER: &str = "\"infra/local\"";
/// Names the state that was used last, for commands of a second terminal.
const LAST: &str = "last";
/// Locked while an engine works on the state.
const LOCK: &str = "lock";

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The file system refused.
    #[error("cannot use the state directory {path}: {source}")]
    Files {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another engine works on it.
    #[error("another `run` works on {path}: watch it with `status`, or stop it first")]
    Taken {
        /// The state directory.
        path: PathBuf,
    },
    /// Nothing ran here yet.
    #[error("there is no run to tell of yet: start one with `run`, or name its state with --state DIR")]
    Nothing,
}

/// A state directory, held by this process.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub path: PathBuf,
    _lock: File,
}

impl Place {
    /// Takes the state directory of a workspace, or the one that was named, for this process alone.
    pub fn take(named: Option<&Path>, workspace: &str) -> Result<Self, PlaceError> {
        let folder = folder();
        let path = named.map_or_else(|| folder.join(workspace), Path::to_owned);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PlaceError::Files { path, source }
        };
        std::fs::create_dir_all(&path).map_err(failed(&path))?;
        let lock = path.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(failed(&lock))?;
        if file.try_lock().is_err() {
            return Err(PlaceError::Taken { path });
        }
        if named.is_none() {
            let last = folder.join(LAST);
            std::fs::write(&last, workspace).map_err(failed(&last))?;
        }
        Ok(Self { path, _lock: file })
    }

    /// The state directory to tell of: the one that was named, or the one that was used last.
    pub fn last(named: Option<&Path>) -> Result<PathBuf, PlaceError> {
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

/// The folder of all states. A command in a subfolder means the same runs as one at the root.
fn folder() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    root(&here).unwrap_or(&here).join(FOLDER)
}

/// The nearest folder above that has states already or is this project's root.
fn root(here: &Path) -> Option<&Path> {
    let is_project = |path: &Path| std::fs::read_to_string(path.join(MANIFEST)).is_ok_and(|text| text.contains(MEMBER));
    here.ancestors().find(|path| path.join(FOLDER).is_dir() || is_project(path))
}

/// A workspace's name for its folder: the host, and the app's id.
pub fn workspace_name(base_url: &str, app_id: &str) -> String {
    let host = base_url.split_once("://").map_or(base_url, |(_, host)| host);
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-");
    format!("{}-{}", plain(host), plain(app_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_engine_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Place::take(Some(dir.path()), "w").unwrap();
        assert!(matches!(Place::take(Some(dir.path()), "w"), Err(PlaceError::Taken { .. })));
        drop(first);
        assert!(Place::take(Some(dir.path()), "w").is_ok());
    }

    #[test]
    fn a_workspace_s_name_is_a_folder_s() {
        assert_eq!(workspace_name("http://127.0.0.1:4000", "../x"), "127.0.0.1-4000-..-x");
        assert_eq!(workspace_name("https://api.intercom.io", "ab12"), "api.intercom.io-ab12");
    }

    #[test]
    fn a_subfolder_belongs_to_its_project() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("plans/mine");
        std::fs::create_dir_all(&below).unwrap();
        assert_eq!(root(&below), None, "another project's folder");
        std::fs::write(dir.path().join(MANIFEST), "[workspace]\nmembers = [\"infra/local\"]\n").unwrap();
        assert_eq!(root(&below), Some(dir.path()));
        std::fs::create_dir(dir.path().join("plans").join(FOLDER)).unwrap();
        assert_eq!(root(&below), Some(dir.path().join("plans").as_path()), "states that are there are gone on with");
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(root(project), project.parent().and_then(Path::parent));
    }
}

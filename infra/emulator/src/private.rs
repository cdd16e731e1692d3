//! Files that only their owner can read. A ledger has customers' ids and values; an env file a
//! token.

use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

/// The owner's mode of a folder: read, write and enter. Others have no access.
#[cfg(unix)]
const FOLDER_MODE: u32 = 0o700;
/// The owner's mode of a file: read and write.
#[cfg(unix)]
const FILE_MODE: u32 = 0o600;

/// Creates a folder and its missing parents. An existing folder keeps its mode.
pub fn folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(FOLDER_MODE);
    builder.create(path)
}

/// Removes other users' access to a folder. A folder of another owner stays as it is.
pub fn narrow(path: &Path) {
    #[cfg(unix)]
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(FOLDER_MODE));
    #[cfg(not(unix))]
    let _ = path;
}

/// Opens a file for writing without truncation, or creates it. Removes other users' access.
pub fn file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    options.mode(FILE_MODE);
    let file = options.open(path)?;
    #[cfg(unix)]
    if file.metadata()?.mode() & 0o077 != 0 {
        // The file belongs to another user, or an earlier version of this program created it.
        let _ = file.set_permissions(std::fs::Permissions::from_mode(FILE_MODE));
    }
    Ok(file)
}

/// Creates a file that only its owner can read. Fails if the path exists.
pub fn new_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create_new(true).write(true);
    #[cfg(unix)]
    options.mode(FILE_MODE);
    options.open(path)
}

/// Returns the mode of a file if other users have access to it.
#[cfg(unix)]
pub fn wide_mode(file: &File) -> Option<u32> {
    let mode = file.metadata().ok()?.mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Windows uses access lists instead.
#[cfg(not(unix))]
pub fn wide_mode(_: &File) -> Option<u32> {
    None
}

/// Writes a file that only its owner can read.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut file = file(path)?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

/// Returns the owner of a path if it is not the user of this process.
#[cfg(unix)]
pub fn foreign_owner(path: &Path) -> Option<u32> {
    let owner = std::fs::metadata(path).ok()?.uid();
    (owner != me()?).then_some(owner)
}

/// Windows uses access lists instead.
#[cfg(not(unix))]
pub fn foreign_owner(_: &Path) -> Option<u32> {
    None
}

/// Returns the user of this process.
#[cfg(unix)]
fn me() -> Option<u32> {
    if let Ok(own) = std::fs::metadata("/proc/self") {
        return Some(own.uid());
    }
    let probe = std::env::temp_dir().join(format!("intercom-bulk-{}", std::process::id()));
    let made = File::options().create_new(true).write(true).open(&probe).and_then(|file| file.metadata());
    let _ = std::fs::remove_file(&probe);
    made.ok().map(|made| made.uid())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).map_or(0, |found| found.mode() & 0o777)
    }

    #[test]
    fn files_are_readable_by_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, outer) = (dir.path().join("a/b"), dir.path().join("a"));
        folder(&inner).unwrap();
        assert_eq!((mode(&inner), mode(&outer)), (0o700, 0o700));
        let path = inner.join("token.env");
        std::fs::write(&path, "INTERCOM_TOKEN=long and secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, "short").unwrap();
        assert_eq!((mode(&path), std::fs::read_to_string(&path).unwrap().as_str()), (0o600, "short"));
        write(&inner.join("new"), "x").unwrap();
        assert_eq!(mode(&inner.join("new")), 0o600);
        let newest = new_file(&inner.join("newest")).unwrap();
        assert_eq!(wide_mode(&newest), None);
        assert!(new_file(&inner.join("newest")).is_err(), "it exists");
        newest.set_permissions(std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(wide_mode(&newest), Some(0o640));
    }

    #[test]
    fn our_own_files_have_no_foreign_owner() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(foreign_owner(dir.path()), None);
    }
}

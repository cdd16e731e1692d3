//! Writes a saved preview: to a file beside it first, which takes its place when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use intercom_bulk::domain::fnv::Fnv;
use intercom_bulk::domain::patch::Patch;
use intercom_bulk::domain::run::{Cursor, Run, State};
use intercom_bulk::ledger::Ledger;
use intercom_bulk::plan::Plan;
use intercom_bulk_emulator::private;
use jiff::Timestamp;
use serde::Serialize;

use super::{End, Header, LastLine, SavedError};
use crate::changed::Changed;
use crate::command::CommandError;

/// A file that is not whole yet. Dropped, it is removed.
pub(crate) struct NewFile {
    path: PathBuf,
    beside: PathBuf,
    file: BufWriter<File>,
    digest: Fnv,
    users: u64,
}

/// A saved preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Written {
    pub(crate) file: PathBuf,
    pub(crate) users: u64,
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `finish` it has another name.
        let _ = std::fs::remove_file(&self.beside);
    }
}

impl NewFile {
    /// Creates a file that only its owner can read. A file of this name stays until the new one is whole.
    pub(crate) fn create(path: &Path) -> Result<Self, SavedError> {
        let failed = |source| SavedError::Create { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = PathBuf::from(name);
        let file = BufWriter::new(private::new_file(&beside).map_err(failed)?);
        Ok(Self { path: path.to_owned(), beside, file, digest: Fnv::EMPTY, users: 0 })
    }

    /// Writes the changes that a dry run kept, and gives the file its name. `at` is the time on its `today`.
    pub(crate) async fn save(
        mut self,
        ledger: &Ledger,
        plan: &Plan,
        run: &Run,
        cursor: &Cursor,
        at: Timestamp,
    ) -> Result<Written, CommandError> {
        if !matches!(run.state, State::Complete | State::CompleteWithErrors) {
            return Err(SavedError::NotAll.into());
        }
        let workspace = run.workspace.clone().filter(|workspace| workspace.app_id.is_some());
        let (Some(workspace), Some(version)) = (workspace, run.version) else {
            return Err(SavedError::NoWorkspace.into());
        };
        self.header(&Header::of(plan, workspace, version, at))?;
        for page in 1..=cursor.page {
            self.add(&ledger.previewed(&run.id, cursor.generation, page).await?)?;
        }
        Ok(self.finish()?)
    }

    /// Writes the first line.
    pub(super) fn header(&mut self, header: &Header) -> Result<(), SavedError> {
        self.line(header)
    }

    /// Writes users with their changes.
    pub(super) fn add(&mut self, patches: &[Patch]) -> Result<(), SavedError> {
        for patch in patches {
            self.line(&Changed::from(patch))?;
            self.users += 1;
        }
        Ok(())
    }

    /// Writes the last line, and gives the file its name.
    pub(super) fn finish(mut self) -> Result<Written, SavedError> {
        let end = End { users: self.users, digest: format!("{:016x}", self.digest.0) };
        self.line(&LastLine { end })?;
        let finished = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let finished = finished.and_then(|()| std::fs::rename(&self.beside, &self.path));
        finished.map_err(|source| self.failed(source))?;
        Ok(Written { file: self.path.clone(), users: self.users })
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), SavedError> {
        let mut line = serde_json::to_vec(value).map_err(|error| self.failed(error.into()))?;
        line.push(b'\n');
        self.digest = self.digest.and(line.iter().copied());
        self.file.write_all(&line).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> SavedError {
        SavedError::Write { path: self.path.clone(), source }
    }
}

//! Reads a saved preview, once to check all of it and once for its changes. It holds one page of them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use intercom_bulk::domain::fnv::Fnv;
use intercom_bulk::domain::patch::Patch;
use intercom_bulk::domain::run::SavedPreview;
use intercom_bulk_emulator::private;
use serde_json::Value;

use super::{End, FORMAT, Header, LastLine, SavedError};
use crate::changed::Changed;

/// The longest line, in bytes. The changes of one user are far shorter.
const LINE_MAX: u64 = 1 << 20;
/// The most users of a page, and the bytes of its lines after which it ends. A ledger item has at most 400 KB.
const PAGE_USERS: usize = 500;
const PAGE_BYTES: usize = 200 << 10;

/// A checked file.
pub(crate) struct SavedFile {
    pub(crate) header: Header,
    pub(crate) end: End,
    path: PathBuf,
    file: File,
}

impl SavedFile {
    /// Opens a file and checks all of it.
    pub(crate) fn open(path: &Path) -> Result<Self, SavedError> {
        let file = File::open(path).map_err(|source| SavedError::Read { path: path.to_owned(), source })?;
        let mut lines = Lines::of(path, &file);
        let header = lines.header()?;
        while lines.user()?.is_some() {}
        let end = lines.end.take().ok_or_else(|| SavedError::Cut { path: path.to_owned() })?;
        Ok(Self { header, end, path: path.to_owned(), file })
    }

    /// Returns the words of a warning if other users of the machine can read the file.
    pub(crate) fn read_by_others(&self) -> Option<String> {
        let (mode, path) = (private::wide_mode(&self.file)?, self.path.display());
        Some(format!(
            "Warning: others have access to {path} (mode {mode:o}), which has personal data: `chmod 600 {path}`"
        ))
    }

    /// Returns the preview as a run names it.
    pub(crate) fn preview(&self) -> SavedPreview {
        SavedPreview { digest: self.end.digest.clone(), users: self.end.users, at_s: self.header.at.as_second() }
    }

    /// Returns the changes from the first user on.
    pub(crate) fn pages(&mut self) -> Result<Pages<'_>, SavedError> {
        self.file.rewind().map_err(|source| SavedError::Read { path: self.path.clone(), source })?;
        let mut lines = Lines::of(&self.path, &self.file);
        lines.header()?;
        Ok(Pages { lines, end: &self.end })
    }
}

/// The changes of a file, page by page.
pub(crate) struct Pages<'f> {
    lines: Lines<'f>,
    end: &'f End,
}

impl Pages<'_> {
    /// Returns the next changes; none after the last.
    pub(crate) fn next(&mut self) -> Result<Vec<Patch>, SavedError> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        while self.lines.end.is_none() && page.len() < PAGE_USERS && bytes < PAGE_BYTES {
            let Some(patch) = self.lines.user()? else { break };
            bytes += self.lines.line.len();
            page.push(patch);
        }
        if page.is_empty() && self.lines.end.as_ref() != Some(self.end) {
            return Err(SavedError::Changing { path: self.lines.path.to_owned() });
        }
        Ok(page)
    }
}

/// The lines of a file.
struct Lines<'f> {
    path: &'f Path,
    reader: BufReader<&'f File>,
    line: Vec<u8>,
    number: u64,
    users: u64,
    /// The digest of the lines before the present one.
    digest: Fnv,
    /// The last line, when it is read.
    end: Option<End>,
}

impl<'f> Lines<'f> {
    fn of(path: &'f Path, file: &'f File) -> Self {
        let reader = BufReader::new(file);
        Self { path, reader, line: Vec::new(), number: 0, users: 0, digest: Fnv::EMPTY, end: None }
    }

    fn broken(&self, what: &'static str) -> SavedError {
        SavedError::Broken { path: self.path.to_owned(), line: self.number, what }
    }

    /// Reads the next line. Returns false at the end of the file.
    fn next(&mut self) -> Result<bool, SavedError> {
        self.digest = self.digest.and(self.line.iter().copied());
        self.line.clear();
        let read = self.reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut self.line);
        read.map_err(|source| SavedError::Read { path: self.path.to_owned(), source })?;
        self.number += 1;
        if self.line.len() as u64 >= LINE_MAX {
            return Err(self.broken("the line is too long"));
        }
        Ok(!self.line.is_empty())
    }

    fn header(&mut self) -> Result<Header, SavedError> {
        let other = |path: &Path| SavedError::Other { path: path.to_owned() };
        // A line that is too long is of no saved preview either.
        if !self
            .next()
            .map_err(|error| if matches!(error, SavedError::Broken { .. }) { other(self.path) } else { error })?
        {
            return Err(other(self.path));
        }
        let Ok(first) = serde_json::from_slice::<Value>(&self.line) else { return Err(other(self.path)) };
        match first["saved_preview"].as_u64().and_then(|format| u32::try_from(format).ok()) {
            None => Err(other(self.path)),
            Some(format) if format > FORMAT => Err(SavedError::Newer { path: self.path.to_owned(), format }),
            Some(_) => serde_json::from_value(first).map_err(|_| self.broken("the line does not describe a preview")),
        }
    }

    /// Returns the next user; `None` after the last. Then the last line is checked.
    fn user(&mut self) -> Result<Option<Patch>, SavedError> {
        if !self.next()? || !self.line.ends_with(b"\n") {
            return Err(SavedError::Cut { path: self.path.to_owned() });
        }
        if let Ok(LastLine { end }) = serde_json::from_slice(&self.line) {
            if end.users != self.users || end.digest != format!("{:016x}", self.digest.0) {
                return Err(self.broken("the checksum does not match, so lines were changed or are missing"));
            }
            if self.next()? {
                return Err(self.broken("a line follows the last one"));
            }
            self.end = Some(end);
            return Ok(None);
        }
        let changed = serde_json::from_slice::<Changed>(&self.line).ok();
        let patch = changed.and_then(Changed::into_patch).filter(|patch| !patch.changes.is_empty());
        self.users += 1;
        patch.map(Some).ok_or_else(|| self.broken("the line has no changes of a user"))
    }
}

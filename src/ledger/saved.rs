//! The changes that a dry run keeps, page by page, and those of a saved preview, under the name of the run
//! that writes them.

use super::attributes::{key, run_pk};
use super::{Key, Ledger, LedgerError};
use crate::domain::patch::Patch;
use crate::domain::run::{RunId, SavedPreview};

/// Returns the item of a page that a dry run read.
fn previewed_key(run: &RunId, generation: u32, page: u32) -> Key {
    key(run_pk(run), format!("PREVIEW#{generation:04}#{page:07}"))
}

/// Returns an item of the changes of a saved preview, counted from 1.
fn approved_key(run: &RunId, page: u32) -> Key {
    key(run_pk(run), format!("SAVED#{page:07}"))
}

/// Returns the item that says that all changes of the preview are stored.
fn saved_key(run: &RunId) -> Key {
    key(run_pk(run), "SAVED".to_owned())
}

impl Ledger {
    /// Stores the changes of a page of a dry run. A page that is read again replaces them.
    pub async fn put_previewed(
        &self,
        run: &RunId,
        generation: u32,
        page: u32,
        patches: &[Patch],
        now_ms: i64,
    ) -> Result<(), LedgerError> {
        self.put_compressed(&previewed_key(run, generation, page), &patches, now_ms).await
    }

    /// Returns the changes of a page of a dry run that keeps them; none if the page is not stored.
    pub async fn previewed(&self, run: &RunId, generation: u32, page: u32) -> Result<Vec<Patch>, LedgerError> {
        self.patches_at(&previewed_key(run, generation, page)).await
    }

    /// Stores some changes of a saved preview: an item of those that a run writes, counted from 1.
    pub async fn put_approved(
        &self,
        run: &RunId,
        page: u32,
        patches: &[Patch],
        now_ms: i64,
    ) -> Result<(), LedgerError> {
        self.put_compressed(&approved_key(run, page), &patches, now_ms).await
    }

    /// Records that all changes of a saved preview are stored. A run of it begins only then.
    pub async fn put_saved(&self, run: &RunId, saved: &SavedPreview, now_ms: i64) -> Result<(), LedgerError> {
        self.put_compressed(&saved_key(run), saved, now_ms).await
    }

    /// Returns the saved preview whose changes are all stored under the name of a run.
    pub async fn saved(&self, run: &RunId) -> Result<Option<SavedPreview>, LedgerError> {
        present(self.get_compressed(&saved_key(run), "saved preview").await)
    }

    /// Returns an item of the changes that a run of a saved preview writes; none after the last.
    pub async fn approved(&self, run: &RunId, page: u32) -> Result<Vec<Patch>, LedgerError> {
        self.patches_at(&approved_key(run, page)).await
    }

    async fn patches_at(&self, at: &Key) -> Result<Vec<Patch>, LedgerError> {
        Ok(present(self.get_compressed(at, "changes of a preview").await)?.unwrap_or_default())
    }
}

/// Returns `None` for an item that does not exist.
fn present<T>(found: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(LedgerError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

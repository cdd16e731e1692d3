//! The patches of parts, in the ledger before their messages are in the queue. Submit does not read
//! them: the messages carry them, too. A message that is sent again, the follow-up of a job, and an
//! undo read them.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::attributes::{key, run_pk};
use super::{Changes, ChangesOfPart, JobRow, Key, Ledger, LedgerError, Write};
use crate::domain::part::{Part, PartId};
use crate::domain::patch::Patch;
use crate::domain::run::RunId;

/// Bodies that are written or read concurrently.
const AT_ONCE: usize = 8;

fn body_key(run: &RunId, part: &PartId) -> Key {
    key(run_pk(run), format!("BODY#{part}"))
}

impl Ledger {
    /// Writes the patches of parts. The call is idempotent.
    pub async fn put_bodies(&self, parts: &[Part], now_ms: i64) -> Result<(), LedgerError> {
        let puts: Vec<_> = parts.iter().map(|part| self.put_body(part, now_ms)).collect();
        stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn put_body(&self, part: &Part, now_ms: i64) -> Result<(), LedgerError> {
        self.put_compressed(&body_key(&part.run, &part.id), &part.patches, now_ms).await
    }

    /// Returns the write of a part's patches.
    pub(super) fn body_write(part: &Part, now_ms: i64) -> Result<Write, LedgerError> {
        Self::compressed_write(&body_key(&part.run, &part.id), &part.patches, now_ms)
    }

    /// Returns parts of a run of format `v` with their patches, in any order.
    pub async fn bodies(&self, run: &RunId, v: u32, parts: Vec<PartId>) -> Result<Vec<Part>, LedgerError> {
        let gets: Vec<_> = parts.into_iter().map(|id| self.body(run, v, id)).collect();
        stream::iter(gets).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn body(&self, run: &RunId, v: u32, id: PartId) -> Result<Part, LedgerError> {
        let patches: Vec<Patch> = self.get_compressed(&body_key(run, &id), "patches of a part").await?;
        Ok(Part { v, run: run.clone(), id, patches })
    }

    /// Returns the patches of a job, grouped by part.
    pub async fn changes_of(&self, job: &JobRow) -> Result<Changes, LedgerError> {
        if job.parts.is_empty() {
            return self.changes(&job.run, &job.changes).await;
        }
        let mut changes = Changes::default();
        for of in &job.parts {
            let Part { id, patches, .. } = self.body(&job.run, job.v, of.part.clone()).await?;
            let is_in_job = |place: usize| of.users.as_ref().is_none_or(|users| users.contains(&(place as u32)));
            let patches = patches.into_iter().enumerate().filter(|(place, _)| is_in_job(*place));
            changes.parts.push(ChangesOfPart { part: id, patches: patches.map(|(_, patch)| patch).collect() });
        }
        Ok(changes)
    }
}

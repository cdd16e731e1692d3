//! The sample of a run's written users, and the progress of reading some of them back.
//!
//! Check makes the sample once, when the parts and jobs of the run have ended, of the parts of
//! committed pages: a void reading wrote no user. The sample stays as long as the run: the next run
//! of the plan compares its patches with it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::attributes::{self, Item, key, n, run_pk};
use super::errors::is_of;
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::part::PartId;
use crate::domain::patch::Patch;
use crate::domain::run::{Cursor, ReadBack, Run, RunId, SAMPLE_MAX, Sampler, State};

/// The most bytes of an item's patches, as JSON. A DynamoDB item holds 400 KB.
const ITEM_BYTES_MAX: usize = 256 * 1024;
/// The runs among which the previous run of a plan is searched.
const PREVIOUS_MAX: usize = 100;
/// The most users of an item of the sample.
const ITEM_USERS_MAX: usize = 250;
/// Parts that are read at once for the sample: at most 5 MB, and usually 200 KB.
const PARTS_AT_ONCE: usize = 40;

/// Patches as JSON: a compressed item would be smaller, but most have a patch or two.
#[derive(Serialize, Deserialize)]
struct Patches {
    patches: String,
}

fn progress_key(run: &RunId) -> Key {
    key(run_pk(run), "READBACK")
}

/// Returns the beginning of the sort keys of a generation's sample.
fn sample_prefix(generation: u32) -> String {
    format!("READBACK#{generation:04}#")
}

/// Returns as many of the patches as fit an item, as JSON, and their number.
fn fitting(patches: &[&Patch]) -> (String, usize) {
    let (mut json, mut count) = ("[".to_owned(), 0);
    for patch in patches.iter().take(ITEM_USERS_MAX) {
        let next = serde_json::to_string(patch).unwrap_or_default();
        if count > 0 && json.len() + next.len() > ITEM_BYTES_MAX {
            break;
        }
        json.push_str(if count > 0 { "," } else { "" });
        json.push_str(&next);
        count += 1;
    }
    json.push(']');
    (json, count)
}

fn patches_of(item: Item, at: &str) -> Result<Vec<Patch>, LedgerError> {
    let stored: Patches = attributes::read(item, at)?;
    serde_json::from_str(&stored.patches).map_err(|e| LedgerError::Compressed { key: at.to_owned(), source: e.into() })
}

impl Ledger {
    /// Makes the sample of the cursor's generation of these parts, without users that ended in an
    /// error, and stores it. Returns the number of its users.
    pub async fn make_sample(
        &self,
        run: &Run,
        cursor: &Cursor,
        parts: &[PartId],
        now_ms: i64,
    ) -> Result<usize, LedgerError> {
        let pk = run_pk(&run.id);
        let mut sampler = Sampler::of(cursor.tally.patches);
        for parts in parts.chunks(PARTS_AT_ONCE) {
            let mut bodies = self.bodies(&run.id, run.v, parts.to_vec()).await?;
            bodies.sort_unstable_by(|one, other| one.id.cmp(&other.id));
            bodies.into_iter().flat_map(|part| part.patches).for_each(|patch| sampler.add(patch));
        }
        let failed = self.failed_among(&run.id, cursor.generation, &sampler.users()).await?;
        let sample = sampler.without(&failed);
        let mut rest: Vec<&Patch> = sample.iter().collect();
        let mut number = 0;
        while !rest.is_empty() {
            let (patches, count) = fitting(&rest);
            let at = key(&pk, format!("{}{number:02}", sample_prefix(cursor.generation)));
            self.put_expiring(attributes::item(&at, &Patches { patches })?, now_ms).await?;
            rest.drain(..count);
            number += 1;
        }
        Ok(sample.len())
    }

    /// Returns the users with an error row of this generation among these. It wrote those who failed in an earlier
    /// one again.
    async fn failed_among(
        &self,
        run: &RunId,
        generation: u32,
        users: &BTreeSet<&str>,
    ) -> Result<BTreeSet<String>, LedgerError> {
        let mut failed = BTreeSet::new();
        self.pages(&run_pk(run), "ERROR#", |items| {
            for item in items {
                let row: super::ErrorRow = attributes::read(item, "ERROR")?;
                if is_of(row.generation, generation) && users.contains(row.user.as_str()) {
                    failed.insert(row.user);
                }
            }
            Ok(true)
        })
        .await?;
        Ok(failed)
    }

    /// Returns the sample of a run's generation, by rank; empty if it has none. `most` bounds the
    /// users.
    pub async fn sample(&self, run: &RunId, generation: u32, most: usize) -> Result<Vec<Patch>, LedgerError> {
        let mut sample = Vec::new();
        self.pages(&run_pk(run), &sample_prefix(generation), |items| {
            for item in items {
                sample.extend(patches_of(item, "READBACK")?);
            }
            Ok(sample.len() < most)
        })
        .await?;
        sample.truncate(most);
        Ok(sample)
    }

    /// Returns the sample of the last run of a plan that began before `before_ms` (Unix milliseconds)
    /// and was no dry run; empty if that run did not write all that it should. The run `but`, which
    /// asks, is not read.
    pub async fn previous_sample(
        &self,
        plan: &str,
        before_ms: i64,
        but: Option<&RunId>,
    ) -> Result<Vec<Patch>, LedgerError> {
        let runs = self.runs(PREVIOUS_MAX).await?;
        for id in runs.iter().filter(|id| id.plan() == plan && Some(*id) != but) {
            let Some(run) = self.run(id).await? else { continue };
            if run.limits.dry_run || run.started_ms >= before_ms {
                continue;
            }
            let is_written = matches!(run.state, State::Complete | State::CompleteWithErrors);
            return if is_written { self.sample(id, run.generation, SAMPLE_MAX).await } else { Ok(Vec::new()) };
        }
        Ok(Vec::new())
    }

    /// Returns the progress of reading a run's users back, if it began.
    pub async fn read_back(&self, run: &RunId) -> Result<Option<ReadBack>, LedgerError> {
        self.get(&progress_key(run)).await
    }

    /// Changes a draining run to `verifying`, with this progress. Returns `false` if another writer
    /// changed the run first.
    pub async fn verify(&self, run: &Run, progress: &ReadBack) -> Result<bool, LedgerError> {
        let verifying = Run { state: State::Verifying, reason: None, ..run.clone() };
        let put = Write::put(attributes::item(&progress_key(&run.id), progress)?);
        self.change_run(run, &verifying, vec![put], None).await
    }

    /// Changes a run that is verified back to draining. Returns `false` if another writer changed the
    /// run first.
    pub async fn drain_again(&self, run: &Run) -> Result<bool, LedgerError> {
        let draining = Run { state: State::Draining, reason: None, ..run.clone() };
        self.change_run(run, &draining, Vec::new(), None).await
    }

    /// Stores the next progress. Returns `false` if another invocation stored one in between.
    pub async fn put_read_back(&self, run: &RunId, progress: &mut ReadBack) -> Result<bool, LedgerError> {
        let was = progress.version;
        progress.version += 1;
        let put = Write::put(attributes::item(&progress_key(run), progress)?);
        let put = put.when("#version = :was AND generation = :generation");
        self.send(put.with(":was", n(was)).with(":generation", n(progress.generation))).await
    }
}

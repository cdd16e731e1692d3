//! The part whose request failed last, to be shown without a read of all parts.

use serde::{Deserialize, Serialize};

use super::attributes::{self, key, run_pk};
use super::{Key, Ledger, LedgerError};
use crate::domain::part::{Part, PartId};
use crate::domain::run::RunId;

#[derive(Serialize, Deserialize)]
struct Held {
    part: PartId,
}

fn held_key(run: &RunId) -> Key {
    key(run_pk(run), "HELD")
}

impl Ledger {
    /// Records that a request for the part failed.
    pub async fn note_held(&self, part: &Part, now_ms: i64) -> Result<(), LedgerError> {
        let item = attributes::item(&held_key(&part.run), &Held { part: part.id.clone() })?;
        self.put_expiring(item, now_ms).await
    }

    /// Returns the time of the last failed request, in Unix milliseconds.
    pub async fn tried_ms(&self, run: &RunId) -> Result<Option<i64>, LedgerError> {
        let Some(Held { part }) = self.get(&held_key(run)).await? else { return Ok(None) };
        Ok(self.part(run, &part).await?.and_then(|row| row.tried_ms))
    }

    /// Returns the reason of the last failed request, in words, while its part is open.
    pub async fn held(&self, run: &RunId) -> Result<Option<String>, LedgerError> {
        let Some(Held { part }) = self.get(&held_key(run)).await? else { return Ok(None) };
        let row = self.part(run, &part).await?;
        Ok(row.filter(|row| row.end.is_none()).and_then(|row| row.why))
    }
}

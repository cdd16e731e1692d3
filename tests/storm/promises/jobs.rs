//! Promise 3: every job id that Intercom gave us is in the ledger, or its possible absence is recorded.

use intercom_bulk::bucket::{Bucket, Width};
use intercom_bulk::run::RunId;

use super::{Did, Promises};
use crate::storm::{Storm, Who};

impl Storm {
    /// An invocation ended: what Intercom gave it is recorded, or its claims still tell that something may be lost.
    pub(crate) async fn invocation_ended(&self, who: Who, answered: bool) {
        let (did, missing) = self.promises.unrecorded(who);
        if missing.is_empty() {
            return;
        }
        let owner = format!("request-{who}");
        for (run, part) in &did.parts {
            let Some(row) = self.part_row(run, part).await else { continue };
            let claimed = row.end.is_none() && row.claim_owner.as_ref() == Some(&owner);
            if claimed || row.lost > 0 {
                return;
            }
        }
        self.weather
            .bug(format!("3: {missing:?} were given to {owner} (answered: {answered}) and are recorded nowhere"));
    }

    async fn part_row(&self, run: &str, part: &str) -> Option<intercom_bulk::ledger::PartRow> {
        self.ledger.part(&RunId::parse(run)?, &part_id(part)?).await.ok().flatten()
    }

    /// At the end: each job of a run lies in the bucket that it was made in and is closed, or is counted as possibly lost.
    pub(crate) async fn jobs_are_known(&self, id: &RunId) {
        let (Ok(Some(run)), Ok(Some(cursor))) = (self.ledger.run(id).await, self.ledger.cursor(id).await) else {
            return self.weather.bug(format!("{id} is gone"));
        };
        let mut rows = Vec::new();
        for bucket in self.ledger.buckets_of(id).await.unwrap_or_default() {
            rows.extend(self.ledger.jobs(&bucket).await.unwrap_or_default());
        }
        let Ok(accounts) = self.ledger.accounts(&run, &cursor).await else { return };
        let jobs = self.promises.memory().jobs.clone();
        let mut lost = Vec::new();
        for job in jobs.iter().filter(|job| job.run == id.as_str()) {
            match rows.iter().find(|row| row.job.to_string() == job.id) {
                None => lost.push(job.id.clone()),
                Some(row) => {
                    let bucket = Bucket::of(job.created_ms, Width::MINUTE);
                    if row.bucket != bucket || row.users != job.users as u64 || row.run != *id {
                        self.weather.bug(format!("3: {} of {bucket} with {} users is {row:?}", job.id, job.users));
                    }
                    if row.end.is_none() {
                        self.weather.bug(format!("6: job {} is open for ever", job.id));
                    }
                }
            }
        }
        if lost.len() as u64 > accounts.totals.jobs_possibly_lost {
            let recorded = accounts.totals.jobs_possibly_lost;
            self.weather.bug(format!("3: {id}: {lost:?} are in no row, and {recorded} are recorded as possibly lost"));
        }
    }
}

impl Promises {
    /// What an invocation did, and the ids among what it was given that are in no row.
    fn unrecorded(&self, who: Who) -> (Did, Vec<String>) {
        let memory = self.memory();
        let did = memory.by.get(&who).cloned().unwrap_or_default();
        let missing = did.given.iter().filter(|id| !memory.recorded.contains(*id)).cloned().collect();
        (did, missing)
    }
}

/// A part's identity from its name.
fn part_id(name: &str) -> Option<intercom_bulk::part::PartId> {
    use intercom_bulk::part::{Origin, PartId};
    let mut fields = name.split('#');
    let generation = fields.next()?.parse().ok()?;
    let (second, third) = (fields.next()?, fields.next()?);
    let origin = match second.parse() {
        Ok(page) => Origin::Page { page, part: third.parse().ok()? },
        Err(_) => Origin::Job { job: serde_json::from_value(second.into()).ok()?, attempt: third.parse().ok()? },
    };
    Some(PartId { generation, origin })
}

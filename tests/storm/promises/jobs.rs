//! Promise 3: every job id of Intercom is in the ledger, or its possible absence is recorded.

use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::run::RunId;
use intercom_bulk::ledger::PartEnd;

use super::{Promises, Submission};
use crate::asked::Asked;
use crate::storm::{Storm, Who};

/// After a lost answer, the SDK repeats a count: at most this many times.
const LOOSE_MAX: u64 = 4;

impl Storm {
    /// Checks the end of an invocation: its job ids are recorded, or the leases of their parts show
    /// that something may be lost.
    pub(crate) async fn invocation_ended(&self, who: Who, answered: bool) {
        if answered {
            self.limit_is_known(who);
        }
        self.answers_are_recorded(who, answered).await;
        let missing = self.promises.unrecorded(who, answered);
        let leased = self.promises.parts_leased_by(who);
        let owner = format!("request-{who}");
        for (id, of) in missing {
            if !self.is_excused(of, &leased, &owner).await {
                self.weather
                    .bug(format!("3: {id} was given to {owner} (answered: {answered}) and is recorded nowhere"));
            }
        }
    }

    /// Returns whether a part that an invocation leased has a lease that hides the job of its submission, or
    /// counts a lost job. The submission's own parts may have ended: the user of a control is in another job.
    async fn is_excused(&self, of: Option<Submission>, leased: &[(String, String)], owner: &str) -> bool {
        let Some((of, run)) = of.and_then(|of| RunId::parse(&of.run).map(|run| (of, run))) else { return false };
        let mut is_hidden = false;
        for (_, name) in leased.iter().filter(|(run, _)| *run == of.run) {
            let Some(part) = part_id(name) else { return false };
            let Ok(Some(row)) = self.ledger.part(&run, &part).await else { return false };
            let hides = row.lost > 0 || row.end.is_none() && row.lease_owner.as_deref() == Some(owner);
            if of.parts.contains(name) && !hides && row.end != Some(PartEnd::Done) {
                return false;
            }
            is_hidden |= hides;
        }
        is_hidden
    }

    /// Checks a request for several users: none of them is in a recorded job of the same part. A
    /// request for one user may test whether Intercom accepts requests at all.
    pub(super) async fn sends_nobody_again(&self, of: &Submission, asked: &Asked) {
        let Some(run) = RunId::parse(&of.run).filter(|_| asked.items() > 1) else { return };
        let asked: Vec<&str> = asked.writes.iter().map(|(user, _)| user.as_str()).collect();
        let mut open: Vec<String> = Vec::new();
        let mut recorded: Vec<String> = Vec::new();
        for id in of.parts.iter().filter_map(|part| part_id(part)) {
            let row = self.ledger.part(&run, &id).await.ok().flatten();
            let outcomes = row.and_then(|row| row.outcomes);
            let users = self.promises.memory().sent.get(&(run.clone(), id)).cloned().unwrap_or_default();
            for (place, user) in users.into_iter().enumerate() {
                let is_open = outcomes.as_ref().is_none_or(|outcomes| outcomes.of(place).is_open());
                (if is_open { &mut open } else { &mut recorded }).push(user);
            }
        }
        // A user may be in two parts.
        let again = recorded.iter().find(|user| asked.contains(&user.as_str()) && !open.contains(user));
        if let Some(user) = again {
            self.weather.bug(format!("3: {user} of {run} is sent again, and has an outcome in {:?}", of.parts));
        }
    }

    /// Checks at the end: each job of a run is closed in the bucket of its creation, or counted as
    /// possibly lost.
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
        for job in jobs.iter().filter(|job| job.run == id.as_str() && !job.is_put) {
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
        let loose = self.promises.memory().loose.get(id.as_str()).copied().unwrap_or_default();
        if accounts.totals.jobs_possibly_lost > LOOSE_MAX * loose {
            let recorded = accounts.totals.jobs_possibly_lost;
            self.weather
                .bug(format!("3: {id}: {recorded} jobs are recorded as possibly lost, and {loose} can have been"));
        }
        if lost.len() as u64 > accounts.totals.jobs_possibly_lost {
            let recorded = accounts.totals.jobs_possibly_lost;
            self.weather.bug(format!("3: {id}: {lost:?} are in no row, and {recorded} are recorded as possibly lost"));
        }
    }
}

impl Promises {
    /// Records that none of the invocations under way can go on.
    pub(crate) fn all_troubled(&self) {
        self.memory().by.values_mut().for_each(|did| did.troubled = true);
    }

    /// Returns an invocation's job ids without a row. If it was disturbed, its leases may have lost
    /// a job.
    fn unrecorded(&self, who: Who, answered: bool) -> Vec<(String, Option<Submission>)> {
        let mut memory = self.memory();
        let did = memory.by.get(&who).cloned().unwrap_or_default();
        if did.troubled || did.unreported > 0 || !answered {
            for (run, _) in &did.parts {
                *memory.loose.entry(run.clone()).or_default() += 1 + did.unreported;
            }
        }
        did.given.into_iter().filter(|(id, _)| !memory.recorded.contains(id)).collect()
    }

    /// Returns the parts that an invocation leased, with their runs.
    fn parts_leased_by(&self, who: Who) -> Vec<(String, String)> {
        self.memory().by.get(&who).map(|did| did.parts.clone()).unwrap_or_default()
    }
}

/// Parses a part's identity from its name.
pub(super) fn part_id(name: &str) -> Option<intercom_bulk::domain::part::PartId> {
    use intercom_bulk::domain::part::{Origin, PartId, ReadingId};
    let mut fields = name.split('#');
    let generation = fields.next()?.parse().ok()?;
    let (second, third) = (fields.next()?, fields.next()?);
    let origin = match second.parse() {
        Ok(page) => {
            let reading = fields.next().and_then(|id| ReadingId::try_from(id.to_owned()).ok());
            Origin::Page { page, part: third.parse().ok()?, reading }
        }
        Err(_) => Origin::Job { job: serde_json::from_value(second.into()).ok()?, attempt: third.parse().ok()? },
    };
    Some(PartId { generation, origin })
}

//! Compares a run's items in the ledger with the workspace.

use std::collections::BTreeSet;

use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::run::{Accounts, Counted, Cursor, Run, RunId, State};
use intercom_bulk::domain::user::User;
use intercom_bulk::ledger::{ErrorRow, JobRow};

use crate::pipeline::Pipeline;

/// The end of a run, from both sides.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) run: Run,
    pub(crate) cursor: Cursor,
    /// The run's jobs in the ledger.
    pub(crate) jobs: Vec<JobRow>,
    pub(crate) errors: Vec<ErrorRow>,
    pub(crate) accounts: Accounts,
    /// The duration of the run, in virtual time.
    pub(crate) seconds: i64,
    /// The workspace's counts, over its whole life.
    pub(crate) world: intercom_simulator::State,
    /// The operations that the workspace allows per rate window.
    pub(crate) limit: u64,
    /// Users of the workspace that the plan would still change.
    pub(crate) lacking: BTreeSet<String>,
    /// Messages in the dead-letter queues.
    pub(crate) dead: Vec<String>,
    /// Job ids by bucket, over all runs of the ledger.
    known: BTreeSet<(Bucket, String)>,
    active: Option<RunId>,
}

impl Report {
    /// Reads both sides.
    pub(crate) async fn of(pipeline: &Pipeline, id: &RunId) -> Self {
        assert_eq!(pipeline.guard.denied(), Vec::<String>::new(), "roles of template.yaml lack what their steps do");
        let ledger = &pipeline.engine.clients.ledger;
        let run = ledger.run(id).await.unwrap().unwrap();
        let cursor = ledger.cursor(id).await.unwrap().unwrap();
        let mut rows = Vec::new();
        for run in ledger.runs(usize::MAX).await.unwrap() {
            for bucket in ledger.buckets_of(&run).await.unwrap() {
                rows.extend(ledger.jobs(&bucket).await.unwrap().into_iter().filter(|row| row.run == run));
            }
        }
        let needs_patch = |user: &User| pipeline.plan.evaluate(user).patch.is_some();
        let users = pipeline.world.users().into_iter().map(|body| User::new(body).unwrap());
        Self {
            accounts: ledger.accounts(&run, &cursor).await.unwrap(),
            errors: ledger.errors(&run).await.unwrap(),
            seconds: (run.ended_ms.unwrap_or(run.started_ms) - run.started_ms) / 1000,
            world: pipeline.world.state(),
            limit: pipeline.limit,
            lacking: users.filter(needs_patch).map(|user| user.id().to_string()).collect(),
            dead: ["pages", "patches"].map(|queue| pipeline.sqs.bodies(&format!("{queue}-dead-letters"))).concat(),
            known: rows.iter().map(|row| (row.bucket.clone(), row.job.to_string())).collect(),
            active: ledger.active().await.unwrap().run,
            jobs: rows.into_iter().filter(|row| row.run == *id).collect(),
            run,
            cursor,
        }
    }

    /// Returns the number of users that the plan would change, before any run.
    pub(crate) fn to_change(pipeline: &Pipeline) -> usize {
        let users = pipeline.world.users().into_iter().map(|body| User::new(body).unwrap());
        users.filter(|user| pipeline.plan.evaluate(user).patch.is_some()).count()
    }

    pub(crate) fn state(&self) -> State {
        self.run.state
    }

    /// Returns the reason of the run's state; empty if there is none.
    pub(crate) fn reason(&self) -> &str {
        self.run.reason.as_deref().unwrap_or_default()
    }

    /// Returns the ids of the users with an error row.
    pub(crate) fn users_in_error(&self) -> BTreeSet<String> {
        self.errors.iter().map(|row| row.user.clone()).collect()
    }

    /// Asserts everything that holds for every run over the whole workspace, with any fault.
    pub(crate) fn assert_nobody_lost(&self) {
        self.assert_users_accounted_for();
        self.assert_counts_add_up();
        self.assert_jobs_known();
        self.assert_intercom_respected();
    }

    /// Asserts that each user that was read is counted once, by its outcome.
    pub(crate) fn assert_counts_add_up(&self) {
        let (tally, counted) = (&self.cursor.tally, Counted::of(&self.cursor.tally, &self.accounts.totals));
        let decided = tally.patches + tally.same + tally.skipped + tally.errors - tally.partly;
        assert_eq!(tally.users + tally.unreadable, decided, "{tally:?}");
        let Counted { read, before: _, written, unchanged, skipped, failed, gone, changed_since, pending } = counted;
        if matches!(self.state(), State::Complete | State::CompleteWithErrors) {
            assert_eq!(
                (read, pending),
                (written + unchanged + skipped + failed + gone + changed_since, 0),
                "{counted:?} {tally:?}"
            );
        }
    }

    /// Asserts that each user without the plan's value is reported.
    pub(crate) fn assert_users_accounted_for(&self) {
        let silent: Vec<_> = self.lacking.difference(&self.users_in_error()).cloned().collect();
        let told = |text: &str| assert!(self.reason().contains(text), "{}: {}", self.state(), self.reason());
        match self.state() {
            State::Complete => {
                assert!(self.lacking.is_empty(), "complete, and {} users lack the value", self.lacking.len());
                assert!(self.errors.is_empty(), "complete, with errors: {:?}", self.errors.first());
            }
            State::CompleteWithErrors => {
                assert!(silent.is_empty(), "{} users are in no error row: {silent:?}", silent.len());
                told("users failed");
            }
            State::Incomplete => assert!(self.reason().chars().any(|c| c.is_ascii_digit()), "{}", self.reason()),
            State::Failed | State::Cancelled | State::Paused => assert!(!self.reason().is_empty()),
            open => panic!("{open} is no end"),
        }
        let active = (self.state() == State::Paused).then(|| self.run.id.clone());
        assert_eq!(self.active, active, "an ended run is not the active one");
    }

    /// Asserts that the ledger has every job of Intercom under the minute of its creation, or
    /// counts it as possibly lost, and knows its end.
    pub(crate) fn assert_jobs_known(&self) {
        assert!(self.jobs.iter().all(|job| !job.parts.is_empty()), "each job names its parts: {:#?}", self.jobs);
        let mut unknown = 0;
        for job in &self.world.jobs {
            let bucket = Bucket::of(job.created_at_ms, Width::MINUTE);
            if self.known.contains(&(bucket.clone(), job.id.clone())) {
                continue;
            }
            assert!(!job.answered || self.accounts.totals.jobs_possibly_lost > 0, "{} is not in {bucket}", job.id);
            unknown += 1;
        }
        let recorded = self.accounts.totals.jobs_possibly_lost;
        assert!(
            unknown <= recorded,
            "{unknown} jobs are not in the ledger, and {recorded} are recorded as possibly lost"
        );
        let open: Vec<_> = self.jobs.iter().filter(|job| job.end.is_none()).collect();
        assert!(open.is_empty(), "{open:#?}");
    }

    /// Asserts that no second scroll was attempted and the rate limit never exceeded.
    pub(crate) fn assert_intercom_respected(&self) {
        assert_eq!(self.world.second_scrolls, 0, "a scroll was opened while one was open");
        assert_eq!(self.world.over_limit, 0, "the rate limit was exceeded");
        let over = self.world.used_by_window.iter().find(|(_, used)| **used > self.limit);
        assert_eq!(over, None, "a bulk request overdrew its window of {} operations", self.limit);
    }

    /// Asserts that the run did all that the plan asks for.
    pub(crate) fn assert_complete(&self) {
        self.assert_complete_with(0);
    }

    /// Asserts the same for a list that contains this many leads, too.
    pub(crate) fn assert_complete_with(&self, leads: u64) {
        assert_eq!(self.state(), State::Complete, "{}", self.reason());
        self.assert_nobody_lost();
        assert_eq!(self.dead, Vec::<String>::new(), "dead letters");
        let listed = self.world.users_total as u64 + leads;
        assert_eq!(self.cursor.tally.users, listed, "users seen in the last generation");
    }
}

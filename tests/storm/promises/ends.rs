//! Promise 1: a run's end reports the truth about every user.

use std::collections::BTreeSet;

use intercom_bulk::domain::run::{Accounts, Counted, Cursor, NAMED_ALREADY, Run, State, Totals};
use intercom_bulk::domain::user::User;
use intercom_bulk::ledger::Consistency;
use intercom_simulator::{Fault, ListCursor};

use crate::plans;
use crate::storm::Storm;

/// The texts after a number of users in the reason of an end.
const WORDS: [&str; 4] = [
    "users were in parts that were dropped",
    "users are in jobs whose end Intercom did not report",
    "users are in jobs that Intercom reported as failed without naming them",
    "failed items name no user",
];

impl Storm {
    /// Checks a run that just ended: each user without the plan's value has an error row or is in
    /// the reason.
    pub(super) async fn run_tells_the_truth(&self, run: &Run) {
        let reason = run.reason.as_deref().unwrap_or_default();
        let lie = |text: String| self.weather.bug(format!("1: {} is {} ({reason}), and {text}", run.id, run.state));
        if run.state != State::Complete && reason.is_empty() {
            lie("does not say why".to_owned());
        }
        let (Ok(Some(cursor)), Ok(errors)) = (self.ledger.cursor(&run.id).await, self.ledger.errors(run).await) else {
            return lie("its rows cannot be read".to_owned());
        };
        if run.is_canary() && matches!(run.state, State::Complete | State::CompleteWithErrors) {
            lie("it did not pause after its canary".to_owned());
        }
        self.counts_equal_the_rows(run, &cursor).await;
        self.counts_add_up(run, &cursor);
        self.again_ended(run, &cursor).await;
        let in_error: BTreeSet<&str> = errors.iter().map(|row| row.user.as_str()).collect();
        // The write of a user who is gone has no effect.
        let may_be_written = |user: &String| !in_error.contains(user.as_str()) && self.world.0.user(user).is_some();
        if reason.ends_with("nothing was written") && self.promises.users_taken(&run.id).iter().any(may_be_written) {
            lie("users are in its jobs".to_owned());
        }
        self.values_were_checked(run, errors.is_empty()).await;
        let lacking = if run.limits.dry_run { BTreeSet::new() } else { self.lacking(run).await };
        // Users whose values Intercom does not keep lack them at each end.
        let unkept = self.alters_values() && self.checks_values();
        let hidden = self.hidden(run, &cursor);
        let silent: Vec<&String> = lacking.iter().filter(|user| !in_error.contains(user.as_str())).collect();
        self.end_has_a_cause(run, &errors, lacking.len() as u64);
        // One user's patch has the company's name for all users of the company. The reason has
        // their number.
        let sharing = if reason.contains("may lack their company's name") {
            cursor.tally.skip_reasons.get(NAMED_ALREADY).copied().unwrap_or_default()
        } else {
            0
        };
        match run.state {
            State::Complete if !errors.is_empty() || lacking.len() as u64 > hidden && !self.may_be_unchecked(run) => {
                lie(format!("{} users lack the value: {lacking:?}; errors: {errors:?}", lacking.len()));
            }
            State::CompleteWithErrors
                if silent.len() as u64 > sharing + hidden
                    && !reason.contains("did not keep")
                    && !self.may_be_unchecked(run) =>
            {
                lie(format!("{silent:?} are in no error row"));
            }
            State::Incomplete if !unkept => {
                let (unheard, unread) = self.told(run, &cursor);
                let told = sharing + unheard + unread + hidden;
                if silent.len() as u64 > told {
                    lie(format!("{} users lack the value and {told} are reported: {silent:?}", silent.len()));
                }
                let sent = self.promises.users_sent(run);
                let read: Vec<&&String> = silent.iter().filter(|user| sent.contains(**user)).collect();
                if read.len() as u64 > sharing + unheard + u64::from(hidden > 0) {
                    lie(format!("{unheard} users with sent patches are reported, and {read:?} lack the value"));
                }
                if !reason.chars().any(|c| c.is_ascii_digit()) {
                    lie("it does not say how many".to_owned());
                }
            }
            _ => {}
        }
    }

    /// Checks that each user of a complete run has one outcome. A user that is listed twice and fails each time
    /// is one failed user.
    fn counts_add_up(&self, run: &Run, cursor: &Cursor) {
        let Some(totals) =
            run.totals.as_ref().filter(|_| matches!(run.state, State::Complete | State::CompleteWithErrors))
        else {
            return;
        };
        let counted = Counted::of(&cursor.tally, totals);
        // A user without a known end may be in several parts and jobs of the run that is retried.
        let retries_unknown = run.retry.as_ref().is_some_and(|retry| retry.unknown);
        let is_repeated = self.world.0.state().fired.contains_key("repeat-page");
        let may_list_twice = self.may_list_twice() || is_repeated || retries_unknown;
        let fails_twice = counted.known() < counted.read && may_list_twice && totals.errors > 0;
        if !run.limits.dry_run && counted.known() != counted.read && !fails_twice {
            self.weather.bug(format!(
                "1: {} is {}, and its users are {counted:?}: {totals:?}, {:?}",
                run.id, run.state, cursor.tally
            ));
        }
    }

    /// Checks that the counts of a run's buckets equal its rows.
    async fn counts_equal_the_rows(&self, run: &Run, cursor: &Cursor) {
        let counted = self.ledger.accounts_counted(run, cursor, Consistency::Strong).await;
        let (Ok(counted), Ok(rows)) = (counted, self.ledger.accounts_by_rows(run, cursor).await) else { return };
        // A lease may hide a job.
        let leased = if self.checks_values() { rows.leases_until_ms.len() as u64 } else { 0 };
        let of = |accounts: &Accounts, leased: u64| {
            let Accounts { parts_open, sent_now, totals, .. } = accounts;
            let lost = totals.jobs_possibly_lost - leased;
            let totals = Totals {
                errors: 0,
                failed_twice: 0,
                dropped: 0,
                jobs_possibly_lost: lost,
                unknown_sent_ms: 0,
                ..totals.clone()
            };
            (*parts_open, accounts.jobs_open(), *sent_now, totals)
        };
        let (counted, rows) = (of(&counted, 0), of(&rows, leased));
        if counted != rows {
            self.weather.bug(format!("3: the counts of {} are {counted:?}, and its rows are {rows:?}", run.id));
        }
    }

    /// Returns the number of contacts that a list may hide from a run: those that Intercom counts and does
    /// not list, and those that a deletion moves to a page that was read. A write that Intercom carries
    /// out for another contact hides that one.
    fn hidden(&self, run: &Run, cursor: &Cursor) -> u64 {
        if !self.story.has_contacts() {
            return 0;
        }
        let state = self.world.0.state();
        let contacts = &self.story.options.contacts;
        let deleted = state.users_deleted.len() as u64 + self.promises.memory().others.deleted.len() as u64;
        if contacts.list_cursor == ListCursor::Page && deleted > 0 {
            return u64::MAX / 2;
        }
        let fired = |name: &str| state.fired.get(name).copied().unwrap_or_default();
        let uncounted = run.totals.as_ref().and_then(|totals| totals.count);
        let uncounted = uncounted.map_or(0, |count| count.saturating_sub(cursor.tally.read()));
        // If a list ends early, its number of contacts may equal Intercom's count after as many are deleted.
        let ended_early = if fired("end-list") > 0 { deleted + fired("gone-contact") } else { 0 };
        uncounted + ended_early + fired("shift-list") + u64::from(self.writes_another_contact())
    }

    /// Returns the numbers in an incomplete run's reason: users dropped or without an end, and
    /// users unread or unseen.
    fn told(&self, run: &Run, cursor: &Cursor) -> (u64, u64) {
        let reason = run.reason.as_deref().unwrap_or_default();
        let (mut unheard, mut unread) = (0, 0);
        for word in reason.split("; ") {
            let numbers: Vec<u64> = word.split(' ').filter_map(|number| number.parse().ok()).collect();
            match numbers[..] {
                [read, of] if word.ends_with("users were read") => unread += of.saturating_sub(read),
                [read] if word.ends_with("users were read") => {
                    unread += self.listed_in_all().saturating_sub(read);
                }
                [parts, jobs] if word.ends_with("have no known end") => {
                    // A follow-up part has the users of a job, which are those of several pages.
                    unheard += parts * self.promises.part_users_max(&run.id) + jobs * 100;
                }
                _ if word.ends_with("could not be counted") => {
                    unheard += (self.promises.users_sent(run).len() + self.promises.users_taken(&run.id).len()) as u64;
                }
                [users] if WORDS.iter().any(|words| word.ends_with(words)) => unheard += users,
                _ if word.contains("its list ended after") => {
                    let numbers = word.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
                    let numbers: Vec<u64> = numbers.collect();
                    unread += numbers.first().zip(numbers.last()).map_or(0, |(of, read)| of.saturating_sub(*read));
                }
                _ if word.contains("may be unseen") => {
                    unread += (cursor.gaps.len() * self.story.options.page_size) as u64;
                }
                _ => {}
            }
        }
        (unheard, unread)
    }

    /// Returns the number of users that a list of the whole workspace shows. A list of contacts shows leads
    /// and archived contacts, too.
    fn listed_in_all(&self) -> u64 {
        let users = self.world.0.users().len();
        if !self.story.has_contacts() {
            return users as u64;
        }
        let gone = self.world.0.state().fired.get("gone-contact").copied().unwrap_or_default();
        let archived = if self.story.options.contacts.archived_listed { gone } else { 0 };
        (users + self.world.0.leads().len()) as u64 + archived
    }

    /// Returns the users of the run's source that the plan would still change, except those that
    /// changed by themselves or by a job that the run did not have to wait for.
    async fn lacking(&self, run: &Run) -> BTreeSet<String> {
        let Some(plan) = plans::plan(&run.plan) else { return BTreeSet::new() };
        let plan = plan.on_day_of(run.day_s());
        if run.limit().is_some() {
            return BTreeSet::new();
        }
        let state = self.world.0.state();
        let moved: BTreeSet<&String> = state.users_changed.iter().chain(&state.users_added).collect();
        let listed = if run.listed.is_some() && run.undo.is_none() { Some(self.listed(run).await) } else { None };
        let late = self.set_late(run);
        let users = self.world.0.users().into_iter().filter_map(User::new);
        let lacks: BTreeSet<String> = match &run.undo {
            Some(undo) => self.not_restored(run, undo).await,
            None => {
                users.filter(|user| plan.evaluate(user).patch.is_some()).map(|user| user.id().to_string()).collect()
            }
        };
        let set_since = self.set_by_another_program(run);
        let is_set = |id: &String| moved.contains(id) || late.contains(id) || set_since.contains(id);
        let lacks = lacks.into_iter().filter(|id| !is_set(id));
        // A contact whose requests get a 404 is gone, by Intercom's words.
        let lacks = lacks.filter(|id| !self.is_said_to_be_gone(id, &state));
        lacks.filter(|id| listed.as_ref().is_none_or(|listed| listed.contains(id))).collect()
    }

    /// Returns whether Intercom answers each write of some contacts as if they did not exist.
    fn says_some_are_gone(&self) -> bool {
        let is_404 = |fault: &Fault| matches!(fault, Fault::PoisonItem { status: 404 | 410, .. });
        self.story.has_contacts() && self.story.options.faults.iter().any(is_404)
    }

    /// Returns whether Intercom answers each write of this contact as if it did not exist.
    pub(super) fn is_said_to_be_gone(&self, id: &str, state: &intercom_simulator::State) -> bool {
        self.says_some_are_gone() && state.poisoned.iter().any(|of| of == id)
    }

    /// Returns whether the reason says of a user that Intercom did not keep a value, and Intercom
    /// carries out this user's writes. A contact whose writes are answered as if it were gone can be
    /// read, and lacks its value.
    pub(super) fn loses_values(&self, reason: &str) -> bool {
        let lost: Vec<&str> = reason.split("; ").filter(|said| said.contains("did not keep")).collect();
        if lost.is_empty() {
            return false;
        }
        let state = self.world.0.state();
        lost.into_iter().any(|said| {
            let named = said.rsplit_once(" read back (").and_then(|(_, users)| users.strip_suffix(')'));
            // A reason that names no user is not excused.
            let Some(users) = named else { return true };
            users.split(", ").filter(|user| *user != "…").any(|user| !self.is_said_to_be_gone(user, &state))
        })
    }

    /// Returns the users that a run was started for.
    async fn listed(&self, run: &Run) -> BTreeSet<String> {
        if let Some(retry) = &run.retry {
            return self.retried(run, retry).await;
        }
        let mut listed = BTreeSet::new();
        for page in 1.. {
            let users = self.ledger.listed(&run.id, page).await.unwrap_or_default();
            if users.is_empty() {
                break;
            }
            listed.extend(users.into_iter().map(|user| user.to_string()));
        }
        listed
    }
}

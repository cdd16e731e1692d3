//! Promise 6, causes: each end of a run has a cause in its story. Without one, a run ends complete.

use std::collections::{BTreeMap, BTreeSet};

use intercom_bulk::domain::run::{Run, State};
use intercom_bulk::domain::user::User;
use intercom_bulk::ledger::ErrorRow;
use intercom_bulk::plan::Plan;

use crate::accident::Accident::{self, *};
use crate::plans;
use crate::storm::Storm;

/// Accidents with an effect beyond time. Duplicates, early, reordered or missing events change no
/// end.
const TROUBLES: [Accident; 23] = [
    Death,
    Hang,
    Freeze,
    Throttled,
    AwsError,
    AwsUnsent,
    AwsLost,
    AwsSlow,
    Outage,
    AwsDenied,
    Conflict,
    Late,
    MessageLost,
    Overdue,
    Unsent,
    LostBefore,
    LostAfter,
    LateEffect,
    Garbled,
    ServerError,
    Limited,
    LimitedBare,
    SlowAnswer,
];
/// Faults that may spoil a page.
const OF_PAGES: [&str; 22] = [
    "lose-page",
    "error-page",
    "error-page-keeps",
    "empty-page",
    "empty-503-page",
    "forget-scroll",
    "steal-scroll",
    "slow-page",
    "slow-pages",
    "repeat-page",
    "lose-call",
    "drop-call",
    "error-call",
    "late-error-call",
    "limit-call",
    "limit-call-bare",
    "empty-call",
    "unavailable-call",
    "slow-call",
    "repeat-cursor",
    "refuse-cursor",
    "end-list",
];
/// Faults after which Intercom does not report a job's end.
const OF_JOBS: [&str; 5] = ["lose-job", "job-never-ends", "job-fails", "token-revoked-after", "denied"];
/// Words of the last wait in a reason. It goes with the other words.
const OF_A_WAIT: [&str; 7] = [
    "the last: ",
    "its scroll must expire first",
    "the next reading waits",
    "so may ",
    "the next invocation reads it",
    "the next turn reads them again",
    "no_wait skips this",
];
/// Faults that change values.
const OF_VALUES: [&str; 3] = ["users-change", "others-write", "alter-attribute"];
/// Permanent faults.
const FOR_GOOD: [&str; 2] = ["token-revoked-after", "denied"];
/// The number of consecutive spoilt pages from which on a run may give up.
const SPOILT_MIN: u64 = 3;
/// The number of failures of a message from which on a run or a part may be given up.
const GIVEN_UP_MIN: u64 = 5;

/// The faults and accidents of a story so far.
pub(super) struct Struck<'a> {
    storm: &'a Storm,
    faults: BTreeMap<String, u64>,
}

impl Struck<'_> {
    fn faults(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.faults.get(*name)).sum()
    }

    fn accidents(&self, accidents: &[Accident]) -> u64 {
        self.storm.weather.struck(accidents)
    }

    /// Returns the number of all events with an effect beyond time.
    fn anything(&self) -> u64 {
        self.accidents(&TROUBLES) + self.faults.values().sum::<u64>()
    }

    /// Returns whether Intercom refuses this user in every request.
    fn is_poisoned(&self, row: &ErrorRow) -> bool {
        self.storm.world.0.state().poisoned.contains(&row.user)
    }

    /// Returns whether a failed run has a cause.
    fn fails(&self, run: &Run, reason: &str, errors: &[ErrorRow], changes: u64) -> bool {
        let has = |text: &str| reason.contains(text);
        let names_companies = run.plan == "company-name";
        match () {
            () if has("same page three times") => self.faults(&["repeat-page"]) >= 3,
            () if has("workspace's only scroll") => self.holds_the_scroll(),
            () if has("(max_changes)") => {
                // The number of changes is the first of the reason; a number of users is one less.
                let told = reason.split(' ').find_map(|word| word.parse::<u64>().ok());
                let told = told.map(|told| told + u64::from(has("change more than")));
                let twice = has("were changed before") && self.anything() > 0;
                told.is_some_and(|told| {
                    let enough = changes + self.vanished() >= told || twice;
                    enough || run.limit().is_some() || self.faults(&OF_VALUES) > 0
                })
            }
            () if has("max_errors") => {
                let users: BTreeSet<&String> = errors.iter().map(|row| &row.user).collect();
                // Users of the page that would exceed the limit are not recorded.
                run.limits.errors_max(0).is_some_and(|most| users.len() as u64 > most || names_companies)
            }
            () if has("refuses every user alike") => {
                self.faults(&["bad-item", "poison-item"]) >= 3 || self.faults(&FOR_GOOD) > 0
            }
            () if has("the scroll is empty") => self.faults(&["users-change"]) > 0,
            // A 404 on a first call is not an expiry: the workspace may have no scroll.
            () if has("scroll parameter not found") => self.faults(&["forget-scroll", "steal-scroll"]) > 0,
            () if has("far more than the workspace has users for") => self.storm.story.endless,
            // A run that began with a foreign token can read nothing.
            () if has("403") && self.storm.story.has_foreign_token() => true,
            () => self.faults(&FOR_GOOD) > 0 && ["401", "402", "403", "404", "400"].iter().any(|code| has(code)),
        }
    }

    /// Returns the number of contacts that were deleted, or that Intercom refuses as unknown.
    fn vanished(&self) -> u64 {
        let state = self.storm.world.0.state();
        let count = state.users_deleted.len() + state.poisoned.len();
        if self.storm.story.has_contacts() { count as u64 } else { 0 }
    }

    /// Returns whether an operator or a foreign token stops a run of this story.
    fn is_stopped(&self) -> bool {
        self.storm.story.has_operator() || self.storm.story.has_foreign_token()
    }

    /// Returns whether the run must pause because no user of its workspace has a path that its plan
    /// reads. A list of users and an empty workspace are no sample.
    fn reads_what_no_user_has(&self, run: &Run) -> bool {
        let limits = &run.limits;
        let users: Vec<User> = self.storm.world.0.users().into_iter().filter_map(User::new).collect();
        if limits.accept_unseen || run.limit().is_some() || run.listed.is_some() || users.is_empty() {
            return false;
        }
        let seen = |plan: &Plan| users.iter().fold(0, |seen, user| seen | plan.seen(user));
        plans::plan(&run.plan).is_some_and(|plan| !plan.unseen(seen(plan)).is_empty())
    }

    /// Returns whether another client held the scroll longer than all waits, or lost answers kept
    /// ours open.
    fn holds_the_scroll(&self) -> bool {
        self.storm.story.held_for_s() > 495
            || self.faults(&["slow-page", "slow-pages"]) + self.accidents(&[SlowAnswer]) > 2
    }

    /// Returns whether the disturbances outlast each run, so that check may never hear of a job's end.
    fn is_never_calm(&self) -> bool {
        self.storm.story.endless || self.storm.story.calm_after.is_none()
    }

    /// Returns whether one part of an incomplete run's reason has a cause.
    fn is_incomplete(&self, run: &Run, word: &str) -> bool {
        let has = |text: &str| word.contains(text);
        match () {
            () if has("past its deadline") || has("before the deadline") => {
                self.is_never_calm() || self.storm.looks_like_an_outage()
            }
            // Before the deadline, its reading ended for another reason, too.
            () if word == "the scroll expired before its end" => self.is_never_calm(),
            () if has("got no further") || has("generations were begun") || has("in a row brought no page") => {
                self.faults(&OF_PAGES) + self.accidents(&TROUBLES) >= SPOILT_MIN
            }
            () if has("its list ended after") => {
                self.faults(&["end-list", "users-change", "shift-list", "repeat-cursor"]) > 0
            }
            () if has("Intercom refused the place") => self.faults(&["refuse-cursor"]) > 0,
            () if has("same page or its own place") => self.faults(&["repeat-cursor"]) > 0,
            () if has("in parts that were dropped") => self.is_stopped(),
            () if has("whose end Intercom did not report") || has("as failed without naming them") => {
                self.faults(&OF_JOBS) > 0 || self.is_never_calm()
            }
            () if has("failed items name no user") => self.faults(&["users-change"]) > 0,
            () if has("company's name") => run.plan == "company-name",
            () if has("could not be counted") => self.accidents(&TROUBLES) > 0,
            () if OF_A_WAIT.iter().any(|words| has(words)) => self.storm.story.endless,
            () => has("users were read") || has("have no known end") || has("may be unseen") || has("may be lost"),
        }
    }

    /// Returns whether a user's error has a cause.
    fn errs(&self, run: &Run, row: &ErrorRow) -> bool {
        match row.code.as_str() {
            // One bad user fails alone: given-up users need another cause.
            "gave_up" => self.is_poisoned(row) || self.anything() - self.faults(&["poison-item"]) >= GIVEN_UP_MIN,
            // Another program deleted it before an undo.
            "not_found" if run.listed.is_some() && self.storm.promises.is_deleted(&row.user) => true,
            // A contact that is gone is no error, except in a list of users.
            "not_found" | "contact_merged" if self.storm.story.has_contacts() => {
                run.listed.is_some() && self.faults(&["users-change", "gone-contact", "shift-list"]) > 0
                    || self.faults(&["denied"]) > 0
                    || self.storm.reads_users_of_jobs() && self.is_poisoned(row)
            }
            // No request of its own could follow a job that does not name the users that it refused.
            "not_written" | "not_read" => self.storm.reads_users_of_jobs() && self.is_stopped(),
            "server_error" => self.is_poisoned(row) || self.storm.promises.unanswered_alone(&row.user) >= 2,
            "contact_merged" | "unique_user_constraint" | "locked" => self.is_poisoned(row),
            "company_named_differently" => run.plan == "company-name",
            "not_restorable" | "other_contact" => self.faults(&["gone-contact"]) > 0,
            "not_kept" => self.faults(&["alter-attribute"]) > 0,
            "not_found" => self.is_poisoned(row) || self.faults(&["users-change", "denied"]) > 0,
            "invalid" => self.faults(&["item-error", "reject-user"]) > 0,
            "rate_limit_exceeded" => self.faults(&["item-error", "item-limited"]) > 0,
            "parameter_invalid" => self.is_poisoned(row) || self.faults(&["bad-item", "remove-attribute"]) > 0,
            // Every user is permanently denied. The code is missing in a truncated answer.
            "forbidden" | "http_403" => self.faults(&["denied"]) > 0,
            // The last answer for an always refused user was lost, truncated, or a proxy's. Or two
            // answers to requests for this user alone were, while others were accepted: the error
            // says that Intercom may have acted.
            code => {
                let is_spoilt = code == "no_answer" || code.starts_with("http_");
                is_spoilt && (self.is_poisoned(row) || self.storm.promises.unanswered_alone(&row.user) >= 2)
            }
        }
    }
}

impl Storm {
    /// Checks that the end of a run has a cause in its story.
    pub(super) fn end_has_a_cause(&self, run: &Run, errors: &[ErrorRow], lacking: u64) {
        let struck = Struck { storm: self, faults: self.world.0.state().fired };
        let reason = run.reason.as_deref().unwrap_or_default();
        // Users with a value of a released run, or of another program, are not among those that lack one.
        let set = self.set_late(run).len() + self.set_by_another_program(run).len();
        let changes = lacking + (self.promises.users_taken(&run.id).len() + set) as u64;
        let no_user_has = struck.reads_what_no_user_has(run);
        let fair = match run.state {
            State::Failed => struck.fails(run, reason, errors, changes),
            State::Incomplete => reason.split("; ").all(|word| struck.is_incomplete(run, word)),
            // A run that a step paused and no one resumes, or a canary.
            State::Cancelled => {
                struck.is_stopped() || no_user_has || struck.anything() > 0 || run.canary_ended.is_some()
            }
            _ => true,
        };
        // Another program's values are no fault of a run. A job that no run had to wait for may set
        // a value back, and so can the write of a merged contact, by API 2.x or Preview.
        let is_set_back = !self.set_late(run).is_empty() || self.writes_another_contact();
        if self.loses_values(reason) && struck.faults(&["alter-attribute"]) == 0 && !is_set_back {
            self.weather.bug(format!("13: {} is {} ({reason}), and Intercom keeps all values", run.id, run.state));
        }
        if reason.contains("were not all checked") && struck.anything() == 0 && self.story.outage.is_none() {
            self.weather.bug(format!("13: {} is {} ({reason}) without a cause", run.id, run.state));
        }
        let row = errors.iter().find(|row| !struck.errs(run, row));
        if let Some(row) = row {
            self.weather.bug(format!("6: {} has an error without a cause: {row:?}", run.id));
        }
        if !fair {
            let what = &struck.faults;
            self.weather.bug(format!("6: {} is {} ({reason}) without a cause; {what:?} struck", run.id, run.state));
        }
        // Plans whose users may disagree have errors of their own.
        let undisturbed = struck.anything() == 0
            && self.story.outage.is_none()
            && !self.story.has_foreign_token()
            && run.limits.do_all()
            && errors.iter().all(|row| !self.promises.is_deleted(&row.user))
            && plans::agrees(&run.plan);
        // Without any fault, a run pauses for a path that no user has, and gives way to a later start.
        let gave_way = run.state == State::Cancelled && no_user_has;
        let untouched = self.story.resumes.is_empty() && !self.story.has_operator();
        if undisturbed && untouched && run.state != State::Complete && !gave_way {
            self.weather.bug(format!("6: nothing struck, and {} is {} ({reason})", run.id, run.state));
        }
    }
}

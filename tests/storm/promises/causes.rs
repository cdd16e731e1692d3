//! Promise 6, the why: each end of a run has a cause that its story holds. Without one a run ends complete.

use std::collections::{BTreeMap, BTreeSet};

use intercom_bulk::domain::run::{Limits, Run, State};
use intercom_bulk::ledger::ErrorRow;

use crate::accident::Accident::{self, *};
use crate::plans;
use crate::storm::Storm;

/// Accidents that may cost more than time. What is double, early, out of order or missing once changes no end.
const TROUBLES: [Accident; 21] = [
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
    Overdue,
    Unsent,
    LostBefore,
    LostAfter,
    Garbled,
    ServerError,
    Limited,
    LimitedBare,
    SlowAnswer,
];
/// Faults that may spoil a page.
const OF_PAGES: [&str; 10] = [
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
];
/// Faults after which Intercom does not tell how a job ended.
const OF_JOBS: [&str; 5] = ["lose-job", "job-never-ends", "job-fails", "token-revoked-after", "denied"];
/// Faults that last for good.
const FOR_GOOD: [&str; 2] = ["token-revoked-after", "denied"];
/// Pages spoilt in a row, from which on a run may give up.
const SPOILT_MIN: u64 = 3;
/// Times that a message has to go wrong before a run or a part is given up.
const GIVEN_UP_MIN: u64 = 5;

/// What struck in a story so far.
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

    /// All that may cost more than time.
    fn anything(&self) -> u64 {
        self.accidents(&TROUBLES) + self.faults.values().sum::<u64>()
    }

    /// Whether Intercom refuses this very user, whatever else is in the request.
    fn is_poisoned(&self, row: &ErrorRow) -> bool {
        self.storm.world.0.state().poisoned.contains(&row.user)
    }

    /// Whether a failed run has its reason.
    fn fails(&self, run: &Run, reason: &str, errors: &[ErrorRow], changes: u64) -> bool {
        let has = |text: &str| reason.contains(text);
        let names_companies = run.plan == "company-name";
        match () {
            () if has("same page three times") => self.faults(&["repeat-page"]) >= 3,
            () if has("workspace's only scroll") => self.holds_the_scroll(),
            () if has("(max_changes)") => {
                let most = run.limits.max_changes.and_then(|most| most.users(run.count.or(run.listed)));
                most.is_some_and(|most| changes > most || self.faults(&["users-change"]) > 0)
            }
            () if has("max_errors") => {
                let users: BTreeSet<&String> = errors.iter().map(|row| &row.user).collect();
                // Those of the page that would break the limit are not recorded.
                run.limits.max_errors.is_some_and(|most| users.len() as u64 > most || names_companies)
            }
            () if has("refuses every user alike") => {
                self.faults(&["bad-item", "poison-item"]) >= 3 || self.faults(&FOR_GOOD) > 0
            }
            () if has("the scroll is empty") => self.faults(&["users-change"]) > 0,
            // A 404 on a first call is no expiry: the workspace may offer no scroll.
            () if has("scroll parameter not found") => self.faults(&["forget-scroll", "steal-scroll"]) > 0,
            () if has("far more than the workspace has users for") => self.storm.story.endless,
            // A run that was begun with a foreign token can read nothing.
            () if has("403") && self.storm.story.has_foreign_token() => true,
            () => self.faults(&FOR_GOOD) > 0 && ["401", "402", "403", "404", "400"].iter().any(|code| has(code)),
        }
    }

    /// Whether somebody, or a foreign token, stops a run of this story.
    fn is_stopped(&self) -> bool {
        !self.storm.story.acts.is_empty() || self.storm.story.has_foreign_token()
    }

    /// Whether somebody held the scroll for longer than all waits, or Intercom kept ours after answers that were lost.
    fn holds_the_scroll(&self) -> bool {
        self.storm.story.held_for_s() > 495
            || self.faults(&["slow-page", "slow-pages"]) + self.accidents(&[SlowAnswer]) > 2
    }

    /// Whether one of the words of an incomplete run has its cause.
    fn is_incomplete(&self, run: &Run, word: &str) -> bool {
        let has = |text: &str| word.contains(text);
        match () {
            () if has("past its deadline") => self.storm.story.endless || self.storm.story.calm_after.is_none(),
            () if has("got no further") || has("generations were begun") => {
                self.faults(&OF_PAGES) + self.accidents(&TROUBLES) >= SPOILT_MIN
            }
            () if has("in parts that were dropped") => self.is_stopped(),
            () if has("whose end Intercom did not report") || has("as failed without naming them") => {
                self.faults(&OF_JOBS) > 0
            }
            () if has("failed items name no user") => self.faults(&["users-change"]) > 0,
            () if has("company's name") => run.plan == "company-name",
            // What goes with the others and has its number checked.
            () if has("the last: ") || has("its scroll must expire first") => self.storm.story.endless,
            () => has("users were read") || has("have no known end") || has("may be unseen") || has("may be lost"),
        }
    }

    /// Whether a user's error has its cause.
    fn errs(&self, run: &Run, row: &ErrorRow) -> bool {
        match row.code.as_str() {
            // One bad user fails alone: that others were given up has another cause.
            "gave_up" => self.is_poisoned(row) || self.anything() - self.faults(&["poison-item"]) >= GIVEN_UP_MIN,
            "server_error" | "contact_merged" | "unique_user_constraint" | "locked" => self.is_poisoned(row),
            "company_named_differently" => run.plan == "company-name",
            "not_found" => self.is_poisoned(row) || self.faults(&["users-change", "denied"]) > 0,
            "invalid" => self.faults(&["item-error", "reject-user"]) > 0,
            "rate_limit_exceeded" => self.faults(&["item-error", "item-limited"]) > 0,
            "parameter_invalid" => self.is_poisoned(row) || self.faults(&["bad-item"]) > 0,
            // Every user is denied for good; the code is missing where the answer was cut off.
            "forbidden" | "http_403" => self.faults(&["denied"]) > 0,
            // The last answer for a user that Intercom never takes was lost, cut off, or given by a server on the way.
            code => (code == "no_answer" || code.starts_with("http_")) && self.is_poisoned(row),
        }
    }
}

impl Storm {
    /// A run ended: something of its story is the cause.
    pub(super) fn end_has_a_cause(&self, run: &Run, errors: &[ErrorRow], lacking: u64) {
        let struck = Struck { storm: self, faults: self.world.0.state().fired };
        let reason = run.reason.as_deref().unwrap_or_default();
        let changes = lacking + self.promises.users_taken(&run.id);
        let fair = match run.state {
            State::Failed => struck.fails(run, reason, errors, changes),
            State::Incomplete => reason.split("; ").all(|word| struck.is_incomplete(run, word)),
            // A run that pauses because no user has what its plan reads makes way for a later start.
            State::Cancelled => struck.is_stopped() || reason.contains("took its place while it was paused"),
            _ => true,
        };
        let row = errors.iter().find(|row| !struck.errs(run, row));
        if let Some(row) = row {
            self.weather.bug(format!("6: {} has an error without a cause: {row:?}", run.id));
        }
        if !fair {
            let what = &struck.faults;
            self.weather.bug(format!("6: {} is {} ({reason}) without a cause; {what:?} struck", run.id, run.state));
        }
        // Plans that may disagree with themselves have errors of their own.
        let undisturbed = struck.anything() == 0
            && !self.story.has_foreign_token()
            && run.limits == Limits::default()
            && plans::agrees(&run.plan);
        if undisturbed && self.story.resumes.is_empty() && self.story.acts.is_empty() && run.state != State::Complete {
            self.weather.bug(format!("6: nothing struck, and {} is {} ({reason})", run.id, run.state));
        }
    }
}

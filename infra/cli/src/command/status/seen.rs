//! The view of a run in `status`.

use std::time::Duration;

use intercom_bulk::domain::run::{Accounts, Counted, Cursor, Run, State, Totals};
use serde_json::{Value, json};

use crate::output::{self, count};
use crate::progress::Sample;
use crate::read_back::read_back;
use crate::summary::{Repeated, possibly_lost, skip_reasons, still_open};
use crate::undone::Restorable;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// The view of a run in `status`.
pub(super) struct Seen<'a> {
    pub(super) run: &'a Run,
    pub(super) cursor: &'a Cursor,
    pub(super) accounts: &'a Accounts,
    pub(super) totals: Totals,
    pub(super) sample: Sample,
    /// A process of this machine works on it; `None` if unknown or if the run has ended.
    pub(super) at_work: Option<bool>,
    /// Number of starts that wait for the end of a paused run.
    pub(super) behind: u64,
    /// The result of the preview of an undo.
    pub(super) restorable: Option<&'a Restorable>,
    /// The options of further commands on this ledger; `None` if no option names it.
    pub(super) options: Option<&'a str>,
    pub(super) now_ms: i64,
    pub(super) took: Duration,
}

impl Seen<'_> {
    /// Returns whether it has not ended and no process works on it.
    fn stopped(&self) -> bool {
        self.at_work == Some(false)
    }

    /// Returns the time left. The start of a later generation is not recorded; a stopped run has
    /// none.
    fn left(&self) -> Option<Duration> {
        self.sample.left.filter(|_| self.run.generation == 1 && !self.stopped())
    }

    /// Returns the number of users to change that are in no job.
    fn to_send(&self) -> u64 {
        let to_change = if self.run.limits.dry_run { 0 } else { self.cursor.tally.patches };
        to_change.saturating_sub(self.accounts.sent_now)
    }

    pub(super) fn json(&self) -> Value {
        let Self { run, cursor, accounts, totals, .. } = self;
        let Counted { written, unchanged, skipped, failed, pending, .. } = Counted::of(&cursor.tally, totals);
        json!({
            "run": run.id, "state": run.state, "reason": run.reason.as_deref().map(output::flags),
            "retries": run.retry, "saved": run.saved, "undoes": run.undo, "paused": run.pause(),
            "starts_behind": self.behind,
            "at_work": self.at_work, "api": run.version, "api_reason": run.version_reason,
            "generation": run.generation, "page": cursor.page, "users": cursor.tally.users,
            "count": run.listed.or(run.count), "percent": self.sample.percent, "patches": cursor.tally.patches,
            "written": written, "unchanged": unchanged, "skipped": skipped, "failed": failed, "pending": pending,
            "sent": totals.sent, "to_send": self.to_send(), "holes": cursor.gaps, "waits": cursor.waits,
            "parts_open": accounts.parts_open, "jobs_open": accounts.jobs_open(), "held": accounts.held,
            "held_back": run.held_back, "no_jobs": run.no_jobs,
            "bulk_charge_seen": run.bulk_charge_seen, "totals": totals,
            "read_back": run.totals.as_ref().and_then(|totals| totals.read_back.as_ref()),
            "preview": self.restorable, "max_per_minute": run.limits.max_per_minute,
            "seconds_left": self.left().map(|left| left.as_secs()),
        })
    }

    pub(super) fn words(&self) -> Vec<String> {
        let Self { run, cursor, totals, .. } = self;
        let mut lines = Vec::new();
        let took = output::duration(self.took);
        if run.state.ended() {
            lines.push(format!("Run {} ended {} after {took}.", run.id, run.state));
        } else if run.state == State::Paused {
            lines.push(format!("Run {} is paused, {took} after its start.", run.id));
            lines.extend(self.pause());
        } else if self.stopped() {
            lines.push(format!("Run {} was stopped: no process works on it.", run.id));
            lines.push(format!("  {}", output::finishes(Some(run))));
            if run.state != State::Verifying && run.reads_exclusively() {
                lines.push("  If pages are left and Intercom's scroll has expired, it reads all users again.".into());
            }
        } else {
            let percent = self.sample.percent.map(|percent| format!(", {percent} % done")).unwrap_or_default();
            let left = self.left().map(|left| format!(", about {} left", output::about(left))).unwrap_or_default();
            lines.push(format!("Run {} is {}, {took} after its start{percent}{left}.", run.id, run.state));
        }
        let waits = self.sample.waits.as_deref().filter(|_| !self.stopped());
        let reason = run.reason.as_deref().map(output::flags);
        lines.extend(reason.iter().map(String::as_str).chain(waits).map(|words| format!("  {words}")));
        lines.extend(output::written_for(run));
        lines.extend(output::api(run.version, run.version_reason.as_deref()));
        lines.extend(run.bulk_charge_seen.map(output::bulk_charge));
        lines.push(format!("  {}", self.read()));
        lines.push(format!("  {}", self.sent()));
        lines.extend(run.totals.as_ref().and_then(|totals| totals.read_back.as_ref()).map(read_back));
        lines.extend(possibly_lost(totals.jobs_possibly_lost));
        match self.restorable {
            Some(restorable) => lines.extend(restorable.words().into_iter().map(|line| format!("  {line}"))),
            None => lines.extend(skip_reasons(&cursor.tally.skip_reasons, &cursor.tally.missed)),
        }
        lines.extend(self.options.into_iter().flat_map(|options| self.next(options)));
        lines
    }

    /// Returns the next steps after the end.
    fn next(&self, options: &str) -> Vec<String> {
        let Self { run, cursor, totals, .. } = self;
        if !run.state.ended() {
            return Vec::new();
        }
        let repeated = Repeated {
            run: run.id.as_str(),
            state: run.state,
            undoes: run.undo.as_ref(),
            is_saved: run.saved.is_some(),
            has_failed: totals.errors > 0,
            written: Counted::of(&cursor.tally, totals).written,
        };
        let stays = run.undo.is_some() && !run.limits.dry_run && cursor.tally.skipped > 0;
        let stays =
            stays.then(|| format!("  `intercom-bulk changes {}{options} --all` lists the values that stay.", run.id));
        repeated.retry(options).into_iter().chain(repeated.undo(options)).chain(stays).collect()
    }

    /// Describes a pause: its time, what the run holds, and how it ends.
    fn pause(&self) -> Vec<String> {
        let parts = count(self.accounts.parts_open, "part");
        let until = if self.run.held_back { " after all users are read (--max-changes)" } else { "" };
        let holds = format!("  It holds {} in {parts} to send{until}.", count(self.to_send(), "user"));
        let holds = (self.accounts.parts_open > 0).then_some(holds);
        let goes_on = match self.run.hold() {
            None => "  `resume` continues it. The next start cancels it and reads all users again.".to_owned(),
            Some(hold) => {
                let ago = |ms: i64| output::duration(Duration::from_millis(ms.max(0).unsigned_abs()));
                let days = (self.run.hold_ends_ms().unwrap_or_default() - self.now_ms).max(0) / DAY_MS;
                let behind = match self.behind {
                    0 => "starts wait behind it".to_owned(),
                    1 => "1 start waits behind it".to_owned(),
                    starts => format!("{starts} starts wait behind it"),
                };
                format!(
                    "  An operator paused it {} ago. `resume` continues it; {behind}. It is cancelled after {} more.",
                    ago(self.now_ms - hold.since_ms),
                    count(days.unsigned_abs(), "day")
                )
            }
        };
        std::iter::once(goes_on).chain(holds).collect()
    }

    fn read(&self) -> String {
        let counted = Counted::of(&self.cursor.tally, &self.totals);
        let Counted { read, before, unchanged, skipped, failed, .. } = counted;
        let of = self.run.listed.or(self.run.count).map(|count| format!(" of {count}")).unwrap_or_default();
        let pass = if self.run.generation > 1 { format!("pass {}: ", self.run.generation) } else { String::new() };
        let rate = self.sample.rate.filter(|_| !self.stopped());
        let rate = rate.map(|rate| format!(" at {rate:.0} a second")).unwrap_or_default();
        // Users that an earlier pass wrote have the plan's values now.
        let written = if before > 0 { format!("{before} written before, ") } else { String::new() };
        // The errors of earlier passes may be among `failed` while this pass has not read their users.
        let known = counted.known() - counted.written + before;
        let to_change = read.saturating_sub(known).max(self.to_send());
        format!(
            "{pass}{read}{of} users read{rate}: {written}{to_change} to change, {unchanged} unchanged, {skipped} skipped, \
             {failed} failed{}",
            output::rare(&counted)
        )
    }

    fn sent(&self) -> String {
        let jobs = output::sent_in(self.run, self.totals.jobs);
        let open = still_open(self.accounts.jobs_open(), self.run.state.ended());
        let Counted { written, .. } = Counted::of(&self.cursor.tally, &self.totals);
        let sent = count(self.totals.sent, "user");
        let to_send = match (self.to_send(), self.run.state.ended()) {
            (0, _) => String::new(),
            (users, true) => format!(", {users} not sent"),
            (users, false) if self.run.held_back => {
                format!(", {users} held back until all users are read (--max-changes)")
            }
            (users, false) => format!(", {users} to send"),
        };
        let held = self.accounts.held.as_deref().filter(|_| !self.run.state.ended());
        let held = held.map(|why| format!("; the last failed request, tried again later: {why}")).unwrap_or_default();
        let pace = self.run.limits.max_per_minute.filter(|_| !self.run.state.ended());
        let pace = pace.map(|pace| format!(", {pace} a minute at most")).unwrap_or_default();
        format!("{sent} sent{jobs}{pace}, {written} written{to_send}{open}{held}")
    }
}

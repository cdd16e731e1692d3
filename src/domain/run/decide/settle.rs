//! Waits between two generations, and for earlier runs. The next reading begins after all earlier
//! parts, jobs and requests have ended, so that an older value never overwrites a newer one.

use super::{Commit, Decision, TurnAction, TurnFacts, time_of_day};
use crate::domain::run::unsettled::SEEN_AFTER_MS;
use crate::domain::run::{Accounts, Cursor, OpenJobs, Phase, Run, Settling, Unsettled};

/// The time without an ended part after which the next generation begins, in milliseconds: longer
/// than an outage of hours. The messages of the parts are then lost, or dead letters.
const PARTS_LIFE_MS: i64 = 4 * 3600 * 1000;

/// The waits between two polls of the unfinished work, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The wait while parts have no end.
    pub parts_ms: i64,
    /// The first wait while jobs have no end.
    pub jobs_ms: i64,
    /// The longest wait while jobs have no end. The waits grow with the time that they have lasted.
    pub jobs_most_ms: i64,
}

impl Pauses {
    /// Returns the wait for jobs after a wait of `waited_ms`.
    fn for_jobs_ms(&self, waited_ms: i64) -> i64 {
        (waited_ms / 10).min(self.jobs_most_ms).max(self.jobs_ms)
    }
}

/// The unfinished work of the generation before, and of earlier runs.
#[derive(Clone, Copy, Debug)]
pub struct SettleFacts<'a> {
    /// The accounts of the run.
    pub accounts: &'a Accounts,
    /// A time after the accounts were read, in Unix milliseconds. The time of the turn is before.
    pub read_ms: i64,
    /// The earlier runs that are not settled.
    pub earlier: Option<&'a EarlierRuns>,
    /// The longest time after a request with an unknown outcome at which it or its job can set values,
    /// in milliseconds.
    pub unknown_life_ms: i64,
    /// The waits between two polls.
    pub pauses: Pauses,
}

/// Earlier runs that are not settled. Their jobs and requests may still set values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierRuns {
    /// The reason of the wait: job, run, since when and until when.
    pub why: String,
    /// The latest time at which they are settled, in Unix milliseconds.
    pub until_ms: i64,
    /// Time of the next look at one of them, in Unix milliseconds.
    pub due_ms: i64,
}

/// Returns what a start or a generation waits for: all of these runs, described by the one that is
/// settled last. `None` without such runs.
pub fn earlier_runs(unsettled: &[Unsettled]) -> Option<EarlierRuns> {
    let last = unsettled.iter().max_by_key(|run| run.until_ms())?;
    let more = match unsettled.len() - 1 {
        0 => String::new(),
        1 => "; so may 1 more run".to_owned(),
        more => format!("; so may {more} more runs"),
    };
    let due_ms = unsettled.iter().map(|run| run.due_ms).min().unwrap_or_default();
    Some(EarlierRuns { why: format!("{}{more}, {LEST}", last.why()), until_ms: last.until_ms(), due_ms })
}

/// A wait that raises an alarm, in milliseconds.
const LONG_WAIT_MS: i64 = 3600 * 1000;
/// A start that was not tried for this long waited behind a run in between, in milliseconds. While no
/// run is active, it is tried every minute, or every five after an error.
const NOT_TRIED_MS: i64 = 15 * 60_000;

/// The wait of a start that cannot begin although no run is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartWait {
    /// Its begin, in Unix milliseconds.
    pub since_ms: i64,
    /// The last try, in Unix milliseconds.
    pub tried_ms: i64,
}

impl StartWait {
    /// Returns the wait after a try at `now_ms` that did not begin the run.
    pub fn tried(before: Option<Self>, now_ms: i64) -> Self {
        let before = before.filter(|wait| now_ms - wait.tried_ms < NOT_TRIED_MS);
        Self { since_ms: before.map_or(now_ms, |wait| wait.since_ms), tried_ms: now_ms }
    }

    /// Returns whether it has lasted for more than an hour.
    pub fn is_long(&self) -> bool {
        self.tried_ms - self.since_ms > LONG_WAIT_MS
    }
}

/// Returns whether a decision to wait is for jobs or requests, and has lasted for more than an hour
/// without a pause. The rate limit determines the time that parts take.
pub fn is_long_wait(decision: &Decision, facts: &TurnFacts<'_>) -> bool {
    let TurnFacts { run, now_ms } = *facts;
    let Settling { since_ms, parts_left, parts_left_ms, queue_lost, .. } = decision.next.settling;
    let waits = decision.action == TurnAction::Waited && decision.next.phase == Phase::Settling;
    let since_all_ms = since_ms.max(parts_left_ms).max(run.resumed_ms);
    waits && since_ms > 0 && (parts_left == 0 || queue_lost) && now_ms - since_all_ms > LONG_WAIT_MS
}

/// The purpose of each wait.
const LEST: &str = "so that an older value cannot overwrite a newer one";

/// Begins the next generation once the parts and jobs of the one before have ended and the earlier
/// runs are settled; waits until then.
///
/// Parts that do not end are void with the next generation, which submit reads in the run's item. One
/// may have been leased just before. Therefore the first page waits until all such leases are in the
/// ledger, and then for their requests and jobs.
pub fn after_wait(mut cursor: Cursor, settle: &SettleFacts<'_>, facts: &TurnFacts<'_>) -> Decision {
    let TurnFacts { run, now_ms } = *facts;
    let SettleFacts { accounts, read_ms, earlier, unknown_life_ms, pauses } = *settle;
    if accounts.parts_open < cursor.settling.parts_left || cursor.settling.parts_left == 0 && accounts.parts_open > 0 {
        cursor.settling.parts_left = accounts.parts_open;
        cursor.settling.parts_left_ms = now_ms;
    }
    // Parts that were held back are void. After a restart of the local engine the queue is empty, so
    // parts of format 1 have no end to wait for.
    let parts = if run.held_back || cursor.settling.queue_lost { 0 } else { accounts.parts_open };
    let fell_ms = cursor.settling.parts_left_ms.max(run.resumed_ms);
    let parts_are_over = parts == 0 || now_ms - fell_ms >= PARTS_LIFE_MS;
    let voided_ms = cursor.settling.voided_ms;
    let seen_ms = if voided_ms > 0 { voided_ms + SEEN_AFTER_MS } else { 0 };
    let lost_ms = if accounts.made_last_ms > 0 { accounts.made_last_ms + unknown_life_ms } else { 0 };
    let over_ms = lost_ms.max(seen_ms);
    // Check closes each job, after six hours at the latest. Only time ends a job without an id.
    let jobs_are_over = accounts.open.is_none() && now_ms >= over_ms && earlier.is_none();
    if !parts_are_over || !jobs_are_over {
        cursor.settling.written_by_ms = 0;
        let for_jobs_ms = pauses.for_jobs_ms(now_ms - cursor.settling.since_ms);
        let poll_ms = now_ms + if parts_are_over { for_jobs_ms } else { pauses.parts_ms };
        cursor.not_before_ms = match (&accounts.open, earlier) {
            _ if !parts_are_over => poll_ms,
            (None, None) => over_ms,
            (None, Some(earlier)) => poll_ms.min(earlier.due_ms.max(now_ms + 1)),
            (Some(_), _) => poll_ms,
        };
        let jobs_ms = accounts.open.as_ref().map_or(0, OpenJobs::until_ms);
        let until_ms = over_ms.max(jobs_ms).max(earlier.map_or(0, |earlier| earlier.until_ms));
        cursor.waits_until_ms = parts_are_over.then(|| until_ms.max(cursor.reading_free_at_ms()));
        let unknown_ms = Some(lost_ms).filter(|lost_ms| *lost_ms > now_ms);
        let (open, has_jobs) = (accounts.open.as_ref(), run.writes_jobs());
        let under_way = UnderWay { parts, open, unknown_ms, died: cursor.settling.queue_lost, has_jobs };
        cursor.waits = Some(match (under_way.waits_for(accounts.made_last_ms), earlier) {
            (Some(waits), _) => waits,
            (None, Some(earlier)) => earlier.why.clone(),
            (None, None) => format!("requests for parts that are void must end first, {LEST}"),
        });
        return Decision::turn(cursor, TurnAction::Waited);
    }
    if voided_ms > 0 {
        return first_page(cursor, now_ms);
    }
    if let Some(why) = cursor.exhausted() {
        let so_far = cursor.cut.take().unwrap_or_else(|| format!("{} pages may be lost", cursor.gaps.len()));
        cursor.cut = Some(format!("{so_far}, and {why}; {}", run.read_so_far(&cursor.tally)));
        return Decision::drain(cursor);
    }
    if !run.held_back {
        // Two bounds on the users changed so far: the patches that were decided, and those that
        // Intercom may have carried out.
        let decided = cursor.changed_before + cursor.tally.patches;
        cursor.changed_before = accounts.totals.changed_max().map_or(decided, |most| most.min(decided));
    }
    let free_at_ms = cursor.reading_free_at_ms();
    let mut next = cursor.next_generation(free_at_ms.max(now_ms), !cursor.excused);
    next.visible_at_ms = visible_at_ms(&cursor, run, read_ms);
    if free_at_ms > now_ms {
        next.waits = Some("the scroll of the generation before must expire first".to_owned());
    }
    if parts > 0 {
        next.phase = Phase::Settling;
        next.settling = Settling { since_ms: now_ms, voided_ms: now_ms, ..Settling::default() };
        next.not_before_ms = free_at_ms.max(now_ms + SEEN_AFTER_MS);
        next.waits =
            Some(format!("{} without end are void: those under way must end first, {LEST}", parts_in_words(parts)));
    }
    Decision { next, commit: Commit::Generation, action: TurnAction::Regenerated }
}

/// Returns the time from which on lists show what the generation that ended wrote, in Unix milliseconds; 0
/// if nothing was sent. Users with an error count, too: Intercom may have stored another value than the
/// one that was sent, or have written another contact.
fn visible_at_ms(ended: &Cursor, run: &Run, read_ms: i64) -> i64 {
    let (Settling { written_by_ms, .. }, lag_ms) = (ended.settling, run.api.list_lag_ms());
    let written_by_ms = if written_by_ms > 0 { written_by_ms } else { read_ms };
    // The earlier generations' writes are older than these, or were waited for.
    let may_have_written = ended.changed_before > 0 || ended.tally.patches > 0 && !run.held_back;
    if may_have_written && lag_ms > 0 { written_by_ms + lag_ms } else { 0 }
}

/// Begins with the first page: void parts change nothing any more.
fn first_page(mut cursor: Cursor, now_ms: i64) -> Decision {
    cursor.phase = Phase::Turning;
    cursor.settling = Settling::default();
    cursor.not_before_ms = cursor.reading_free_at_ms().max(now_ms);
    cursor.waits = None;
    cursor.waits_until_ms = None;
    Decision::turn(cursor, TurnAction::Waited)
}

/// The unfinished work of the generation before.
#[derive(Clone, Copy, Debug)]
struct UnderWay<'a> {
    /// Parts that may still be submitted.
    parts: u64,
    /// Jobs without a known end.
    open: Option<&'a OpenJobs>,
    /// The time at which a request with an unknown outcome, or its job without an id, is over.
    unknown_ms: Option<i64>,
    /// True if the process that submitted them is gone, and its queue with it.
    died: bool,
    /// True if requests make jobs.
    has_jobs: bool,
}

impl UnderWay<'_> {
    /// Returns what is waited for, in words; `None` for nothing. A request with an unknown outcome
    /// was sent at `sent_ms` at the latest.
    fn waits_for(&self, sent_ms: i64) -> Option<String> {
        let (sent, until) = (time_of_day(sent_ms), self.unknown_ms.map(time_of_day));
        let jobs = self.open.map(|open| (open, time_of_day(open.until_ms())));
        let what = match (self.parts, jobs, until) {
            (0, None, None) => return None,
            (0, None, Some(until)) if !self.has_jobs => {
                let ended = if self.died { ", when the process before this one ended," } else { "" };
                format!(
                    "a request sent by {sent}{ended} has no known outcome, and may take effect until {until}; the next \
                     reading waits for it"
                )
            }
            (0, None, Some(until)) if self.died => format!(
                "a bulk request was under way at {sent}, when the process before this one ended, and whether Intercom \
                 took it is not known; the next reading waits until {until}, when it can set no value any more"
            ),
            (0, None, Some(until)) => format!(
                "a bulk request sent by {sent} has no known outcome, and its job may set values until {until}; the next \
                 reading waits for it"
            ),
            (0, Some((open, by)), unknown) => {
                let lost = |until| format!(", and a request whose outcome is unknown is waited for until {until}");
                let lost = unknown.map(lost).unwrap_or_default();
                format!("{} must end first, at {by} at the latest{lost}", open.words())
            }
            (parts, None, _) => format!("{} sent before must end first", parts_in_words(parts)),
            (parts, Some((open, _)), _) => {
                format!("{} sent before and {} must end first", parts_in_words(parts), open.words())
            }
        };
        Some(format!("{what}, {LEST}"))
    }
}

fn parts_in_words(parts: u64) -> String {
    format!("{parts} part{}", if parts == 1 { "" } else { "s" })
}

/// Begins with the first page once the earlier runs are settled; waits until then.
pub fn after_earlier_runs(
    mut cursor: Cursor,
    earlier: Option<&EarlierRuns>,
    pauses: Pauses,
    facts: &TurnFacts<'_>,
) -> Decision {
    let Some(EarlierRuns { why, until_ms, due_ms }) = earlier else {
        cursor.after = None;
        cursor.phase = Phase::Turning;
        cursor.waits = None;
        cursor.waits_until_ms = None;
        return Decision::turn(cursor, TurnAction::Waited);
    };
    let now_ms = facts.now_ms;
    let poll_ms = now_ms + pauses.for_jobs_ms(now_ms - cursor.settling.since_ms);
    cursor.not_before_ms = poll_ms.min((*due_ms).max(now_ms + 1));
    cursor.waits_until_ms = Some((*until_ms).max(cursor.reading_free_at_ms()));
    cursor.waits = Some(why.clone());
    Decision::turn(cursor, TurnAction::Waited)
}

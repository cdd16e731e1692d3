//! Begins a run.

use crate::domain::api::ApiChoice;
use crate::domain::run::decide::earlier_runs;
use crate::domain::run::{
    Cursor, Earlier, FORMAT, Phase, Run, Speed, Start, State, WorkspaceBinding, deadline_ms, deadline_of_list_ms,
    format_of,
};
use crate::ledger::{Active, Begin, Ledger, LedgerError};

/// A start, and the facts that its run begins with.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// The start.
    pub start: &'a Start,
    /// Its plan, as JSON.
    pub plan: serde_json::Value,
    /// The version of the API, and its reason.
    pub api: ApiChoice,
    /// The workspace of the access token.
    pub workspace: WorkspaceBinding,
    /// Intercom's count of users, if known.
    pub count: Option<u64>,
    /// The number of users of the source, if it is a list.
    pub listed: Option<u64>,
    /// Our operations per window of the rate limit, for the deadline.
    pub operations_per_10s: u32,
    /// The time until an unused exclusive reading expires, in milliseconds.
    pub reading_life_ms: i64,
    /// `ACTIVE`, as [`super::unsettled`] read it before the workspace and the count were requested.
    pub active: Active,
}

/// The result of a start.
#[derive(Clone, Debug, PartialEq)]
pub enum Started {
    /// The run is active. The caller sends the message of this cursor's turn.
    Begun(Box<Cursor>),
    /// A run of its name exists.
    Known,
    /// Another run is active, or was active since `ACTIVE` was read.
    Busy,
}

/// Begins a run, unless another one is active.
pub async fn start(ledger: &Ledger, new: NewRun<'_>, now_ms: i64) -> Result<Started, LedgerError> {
    let NewRun { start, plan, api, workspace, count, listed, operations_per_10s, reading_life_ms, active } = new;
    let (retry, undo) = match start.source.earlier() {
        Some(Earlier::Retry(retry)) => (Some(retry.clone()), None),
        Some(Earlier::Undo(undo)) => (None, Some(undo.clone())),
        None => (None, None),
    };
    let saved = start.source.saved().cloned();
    let is_new = retry.is_some() || undo.is_some() || saved.is_some();
    let speed = Speed { operations_per_10s, max_per_minute: start.limits.max_per_minute };
    let run = Run {
        // Functions of an older format would read no user of a retry or an undo, or write what no preview showed.
        v: if is_new { FORMAT } else { format_of(api.version.api()) },
        id: start.run(),
        plan: start.plan.clone(),
        version: Some(api.version),
        version_reason: Some(api.reason),
        api: api.version.api(),
        state: State::Running,
        reason: None,
        paused: None,
        paused_ms: 0,
        resumed_ms: 0,
        generation: 1,
        started_ms: now_ms,
        scheduled_at_s: Some(start.scheduled_at_s),
        ended_ms: None,
        deadline_ms: match listed {
            Some(listed) => deadline_of_list_ms(now_ms, listed, speed),
            None => deadline_ms(now_ms, count.unwrap_or(0), speed),
        },
        count,
        listed,
        retry,
        saved,
        undo,
        workspace: Some(workspace),
        limits: start.limits.clone(),
        held_back: start.limits.hold_back(),
        no_jobs: None,
        jobs_not_served: false,
        bulk_charge_seen: None,
        canary_ended: None,
        errors: 0,
        totals: None,
    };
    let mut cursor = first_cursor(&run, active.free_at_ms, reading_life_ms, now_ms);
    if let (Some(earlier), Some(last)) = (earlier_runs(&active.unsettled), active.unsettled.last()) {
        // The first page waits for the earlier runs. Their names are read again by each turn.
        cursor.phase = Phase::Settling;
        cursor.after = Some(last.id.clone());
        cursor.settling.since_ms = now_ms;
        cursor.waits_until_ms = Some(earlier.until_ms);
        cursor.waits = Some(earlier.why);
    }
    Ok(match ledger.begin(&run, &plan, start, &cursor, &active).await? {
        Begin::Begun => Started::Begun(Box::new(cursor)),
        Begin::Known => Started::Known,
        Begin::Busy => Started::Busy,
    })
}

/// Returns the first cursor of a run. An exclusive reading waits until that of the previous run has
/// expired, at `free_at_ms`.
fn first_cursor(run: &Run, free_at_ms: i64, reading_life_ms: i64, now_ms: i64) -> Cursor {
    let not_before_ms = if run.reads_exclusively() { free_at_ms.max(now_ms) } else { now_ms };
    let mut cursor = Cursor { v: run.v, ..Cursor::first(run.id.clone(), not_before_ms, reading_life_ms) };
    if free_at_ms > now_ms {
        // Record that the previous reading may be open, even if this run begins none.
        cursor.exclusive.called_ms = free_at_ms - reading_life_ms;
    }
    if not_before_ms > now_ms {
        cursor.waits = Some("the previous run's scroll must expire first".to_owned());
    }
    cursor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::EXCLUSIVE_LIFE_MS;

    #[test]
    fn first_page_waits_only_for_a_reading_that_may_be_open() {
        const NOW_MS: i64 = 1_000_000;
        const OPEN_MS: i64 = NOW_MS + 30_000;
        for (listed, free_at_ms, not_before_ms) in [
            (None, 0, NOW_MS),
            (None, OPEN_MS, OPEN_MS),
            // A list is not read exclusively, but the next run must know of the previous one.
            (Some(3), OPEN_MS, NOW_MS),
        ] {
            let stored = serde_json::json!({"v": 1, "run": "p.1", "plan": "p", "state": "running", "generation": 1,
                "started_ms": 0, "deadline_ms": 0, "listed": listed});
            let run: Run = serde_json::from_value(stored).unwrap();
            let cursor = first_cursor(&run, free_at_ms, EXCLUSIVE_LIFE_MS, NOW_MS);
            assert_eq!(cursor.not_before_ms, not_before_ms, "{listed:?} {free_at_ms}");
            assert_eq!(cursor.waits.is_some(), not_before_ms > NOW_MS, "{listed:?} {free_at_ms}");
            assert_eq!(cursor.reading_free_at_ms(), free_at_ms, "{listed:?} {free_at_ms}");
        }
    }
}

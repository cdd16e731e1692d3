//! Reports the ends and pauses of runs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::aws::{BusEvent, EventBusError};
use crate::domain::run::{Counted, RunId, State};
use crate::ledger::{Consistency, DueReport, Ledger, LedgerError};
use crate::runtime::clients::Clients;
use crate::runtime::invocation::Invocation;

/// Runs that are reported in one tick.
const AT_ONCE: usize = 10;
/// Time reserved for one report, in milliseconds: three attempts at a call, and the ledger's calls.
const FOR_A_REPORT_MS: i64 = 30_000;
/// Time-out for reading the rows of a run that ended early.
const ROWS_TIMEOUT: Duration = Duration::from_secs(10);
/// The age after which a report is given up, in milliseconds: a message about yesterday helps no one.
const GIVEN_UP_MS: i64 = 24 * 3600 * 1000;

/// The reports of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// Events that EventBridge accepted.
    pub sent: u64,
    /// Reports that failed. The next tick tries again.
    pub failed: u64,
}

#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    EventBus(#[from] EventBusError),
}

/// Puts an event for each run that ended or paused, until the event bus accepts it. Without an event
/// bus, nothing is put. A failure is logged and harms no run.
pub async fn report(clients: &Clients, at: &Invocation) -> Reports {
    let mut reports = Reports::default();
    let due = match clients.ledger.reports_due(AT_ONCE).await {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(%error, "cannot read which runs are to be reported");
            return Reports { failed: 1, ..reports };
        }
    };
    for due in due {
        if at.left_ms() < FOR_A_REPORT_MS || at.is_stopping() {
            break;
        }
        match report_one(clients, &due, at.clock.now_ms()).await {
            Ok(is_sent) => reports.sent += u64::from(is_sent),
            Err(ReportError::Ledger(LedgerError::Newer { .. })) => {}
            Err(error) => {
                tracing::error!(run = due.run.as_str(), %error, "the end or pause of a run is not reported yet");
                reports.failed += 1;
            }
        }
    }
    reports
}

/// Reports a run. Returns whether an event was put. A run that was resumed is not reported.
async fn report_one(clients: &Clients, due: &DueReport, now_ms: i64) -> Result<bool, ReportError> {
    let mut is_sent = false;
    if let Some(bus) = &clients.events
        && let Some(Report { state, body }) = run_report(&clients.ledger, &due.run, ToOwned::to_owned).await?
    {
        if now_ms - due.at_ms > GIVEN_UP_MS {
            tracing::error!(run = due.run.as_str(), "the end or pause of a run is not reported: no event was accepted");
        } else {
            let detail_type = if state.ended() { "Run Ended" } else { "Run Paused" };
            bus.put(BusEvent { detail_type, detail: body, at_ms: due.at_ms }, now_ms).await?;
            is_sent = true;
        }
    }
    clients.ledger.reported(due).await?;
    Ok(is_sent)
}

/// The report of a run that has ended or paused.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The state of the run.
    pub state: State,
    /// The JSON that is sent: name, plan, state, reason and counts, without personal data.
    pub body: Map<String, Value>,
}

/// Returns the report of a run; `None` if it goes on. `words` adapts the reason to its reader.
pub async fn run_report(
    ledger: &Ledger,
    id: &RunId,
    words: impl Fn(&str) -> String,
) -> Result<Option<Report>, LedgerError> {
    let Some((run, cursor)) = ledger.run(id).await?.zip(ledger.cursor(id).await?) else { return Ok(None) };
    if run.state.works() {
        return Ok(None);
    }
    let totals = match run.totals.clone() {
        Some(totals) => totals,
        // The counts have a user once per error. The rows of a large run may not be read in time.
        None => match tokio::time::timeout(ROWS_TIMEOUT, ledger.accounts(&run, &cursor)).await {
            Ok(accounts) => accounts?.totals,
            Err(_) => ledger.accounts_counted(&run, &cursor, Consistency::Strong).await?.totals,
        },
    };
    let counted = Counted::of(&cursor.tally, &totals);
    let reason = run.reason.as_deref().map(words);
    let Counted { read, written, failed, .. } = counted;
    let why = reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    let text = format!("Run {id} is {}{why}: {read} users read, {written} written, {failed} failed", run.state);
    let body = json!({
        "run": id, "plan": run.plan, "state": run.state, "reason": reason, "users": read, "counts": counted, "text": text,
    });
    let body = if let Value::Object(body) = body { body } else { Map::new() };
    Ok(Some(Report { state: run.state, body }))
}

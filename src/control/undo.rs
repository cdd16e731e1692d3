//! The run that a start undoes: whether it may be, and for how many users.

use std::collections::HashMap;
use std::pin::pin;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::EarlierRun;
use crate::domain::run::decide::earlier_runs;
use crate::domain::run::{LaterRun, Run, RunId, Undo};
use crate::ledger::{Active, Ledger, LedgerError, NOT_KEPT};
use crate::plan::Plan;

/// Runs that are read concurrently.
const AT_ONCE: usize = 32;

/// Returns the run that is undone, or the reason why it cannot be.
pub async fn undone(
    ledger: &Ledger,
    undo: &Undo,
    active: &Active,
    now_ms: i64,
) -> Result<Result<EarlierRun, String>, LedgerError> {
    let found = ledger.run(&undo.run).await?;
    let refused = undo.refusal(found.as_ref(), now_ms);
    let run = match (found, refused) {
        (Some(found), None) => found,
        (_, why) => return Ok(Err(why.unwrap_or_default())),
    };
    let unsettled: Vec<_> = active.unsettled.iter().filter(|other| other.id == run.id).cloned().collect();
    if let Some(waits) = earlier_runs(&unsettled) {
        return Ok(Err(undo.unsettled(&waits.why)));
    }
    let users = changed_about(ledger, &run).await?;
    if users == 0 {
        return Ok(Err(undo.nothing()));
    }
    if let Some(why) = undo.overwritten(&later_runs(ledger, &run).await?) {
        return Ok(Err(why));
    }
    Ok(Ok(EarlierRun { run, users }))
}

/// Returns the later runs that wrote one of the targets of a run or may do so, by their start, and undos that
/// found nothing to restore.
async fn later_runs(ledger: &Ledger, run: &Run) -> Result<Vec<LaterRun>, LedgerError> {
    let targets = targets_of(ledger, run).await?;
    let ids = ledger.runs_after(run).await?;
    // A schedule of each minute makes 40,000 runs in four weeks.
    let mut read = pin!(stream::iter(ids).map(|id| with_plan(ledger, id)).buffered(AT_ONCE));
    // Most runs of a ledger have one of a few plans.
    let mut writes: HashMap<String, bool> = HashMap::new();
    let mut later = Vec::new();
    while let Some(other) = read.try_next().await? {
        let Some((other, plan)) = other else { continue };
        let writes_alike = *writes.entry(plan).or_insert_with_key(|plan| writes_one_of(plan, targets.as_deref()));
        if !writes_alike {
            continue;
        }
        // A run that has not ended may write.
        let wrote = !other.state.ended() || changed_about(ledger, &other).await? > 0;
        if wrote || other.undo.is_some() {
            later.push(LaterRun { id: other.id, undid: other.undo.map(|undo| undo.run), state: other.state, wrote });
        }
    }
    Ok(later)
}

/// Returns a run and its plan, if the run may have written or is an undo.
async fn with_plan(ledger: &Ledger, id: RunId) -> Result<Option<(Run, String)>, LedgerError> {
    let counts = |run: &Run| !run.limits.dry_run && (run.undo.is_some() || may_have_written(run));
    let Some(run) = ledger.run(&id).await?.filter(counts) else { return Ok(None) };
    let plan = ledger.plan_of(&id).await?.to_string();
    Ok(Some((run, plan)))
}

/// Returns whether a run may have written, as far as its item tells.
fn may_have_written(run: &Run) -> bool {
    run.totals.as_ref().is_none_or(|totals| totals.changed_about() + totals.errors > 0)
}

/// Returns the number of users that an ended run changed, or may have changed.
async fn changed_about(ledger: &Ledger, run: &Run) -> Result<u64, LedgerError> {
    let (totals, open) = if let Some(totals) = &run.totals {
        (totals.clone(), 0)
    } else {
        // A run that was stopped has no totals.
        let Some(cursor) = ledger.cursor(&run.id).await? else { return Ok(0) };
        let accounts = ledger.accounts(run, &cursor).await?;
        let open = accounts.jobs_open();
        (accounts.totals, open)
    };
    // Totals are of closed jobs. An open one may have changed its users.
    let about = totals.changed_about().max(open);
    if about > 0 || totals.errors == 0 {
        return Ok(about);
    }
    ledger.count_failed(run, Some(NOT_KEPT)).await
}

/// Returns the targets of a run's plan; `None` if a newer version wrote the plan.
async fn targets_of(ledger: &Ledger, run: &Run) -> Result<Option<Vec<String>>, LedgerError> {
    let plan = ledger.plan_of(&run.id).await?;
    Ok(Plan::of_run(&plan).ok().map(|plan| plan.targets()))
}

/// Returns whether a plan writes one of the targets. A plan that cannot be read may.
fn writes_one_of(plan: &str, targets: Option<&[String]>) -> bool {
    let written = serde_json::from_str(plan).ok().and_then(|plan| Plan::of_run(&plan).ok()).map(|plan| plan.targets());
    written.zip(targets).is_none_or(|(written, targets)| written.iter().any(|target| targets.contains(target)))
}

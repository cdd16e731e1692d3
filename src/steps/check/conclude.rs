//! Closes a job, records its failed users, and sends others again as a follow-up part.

use super::CheckOutcome;
use crate::domain::part::{Origin, Part, PartId};
use crate::domain::patch::Patch;
use crate::domain::run::FORMAT_1;
use crate::ledger::{Closing, End, ErrorRow, JobRow, ReadUsers};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Users of a job that are sent again.
pub(super) struct Again {
    pub(super) patches: Vec<Patch>,
    /// The attempt that follows.
    pub(super) attempt: u32,
    /// The delay before it, in milliseconds.
    pub(super) after_ms: i64,
}

/// The result of a job.
pub(super) struct Conclusion {
    pub(super) end: End,
    pub(super) failed: Vec<ErrorRow>,
    pub(super) again: Option<Again>,
    /// Refused items that name no user of the job.
    pub(super) unattributed: u64,
    pub(super) read: Option<ReadUsers>,
}

impl Conclusion {
    /// Creates a result with nothing but an end.
    pub(super) fn of(end: End) -> Self {
        Self { end, failed: Vec::new(), again: None, unattributed: 0, read: None }
    }
}

/// Closes a job. Users that are sent again become a follow-up part, which is in the ledger before the job
/// is closed.
pub(super) async fn conclude(
    clients: &Clients,
    row: &JobRow,
    conclusion: Conclusion,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<(), StepError> {
    let Conclusion { end, failed, again, unattributed, read } = conclusion;
    let now_ms = at.clock.now_ms();
    let after_ms = again.as_ref().map_or(0, |again| again.after_ms);
    let part = again.map(|again| again_part(row, again));
    let keeps_parts = row.v > FORMAT_1;
    if let Some(part) = &part {
        outcome.again += part.patches.len() as u64;
        if keeps_parts {
            clients.ledger.put_bodies(std::slice::from_ref(part), now_ms).await?;
        } else {
            clients.queues.send_part(part, after_ms).await?;
        }
    }
    clients.ledger.record_errors(&row.run, &failed, now_ms).await?;
    let closing = Closing {
        failed: failed.len() as u64,
        unattributed,
        again: part.as_ref().map(|part| (part.id.clone(), part.patches.len() as u64)),
        read,
        ..Closing::with(end)
    };
    close(clients, row, closing, outcome).await?;
    let Some(part) = part.filter(|_| keeps_parts) else { return Ok(()) };
    // Another check may have closed the job with another end. A lost message is sent again, because
    // the closed job names the part.
    let named = clients.ledger.job(row).await?.and_then(|row| row.again);
    if named.as_ref() == Some(&part.id) {
        clients.queues.send_part(&part, after_ms).await?;
    }
    Ok(())
}

/// Returns the follow-up part of a job's users that are sent again. A job has at most one, whatever the
/// size of its parts.
fn again_part(row: &JobRow, Again { patches, attempt, .. }: Again) -> Part {
    let id = PartId { generation: row.generation, origin: Origin::Job { job: row.job.clone(), attempt } };
    Part { v: row.v, run: row.run.clone(), id, patches }
}

/// Closes a job, unless it is closed.
pub(super) async fn close(
    clients: &Clients,
    row: &JobRow,
    closing: Closing,
    outcome: &mut CheckOutcome,
) -> Result<(), StepError> {
    let failed = closing.failed;
    let unattributed = closing.unattributed;
    let is_closed = {
        let _turn = clients.closing.lock().await;
        clients.ledger.close_job(row, &closing).await?
    };
    if is_closed {
        outcome.closed += 1;
        outcome.failed += failed;
        outcome.unattributed += unattributed;
        outcome.with_errors += u64::from(closing.end == End::CompletedWithErrors);
        outcome.unknown += u64::from(closing.end == End::Unknown);
    }
    Ok(())
}

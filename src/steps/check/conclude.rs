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
    // Reads may have taken minutes, and another check may have closed the job since then.
    if read.is_some() && !clients.ledger.is_open(&row.bucket, &row.job).await? {
        return Ok(());
    }
    let after_ms = again.as_ref().map_or(0, |again| again.after_ms);
    let part = again.map(|again| again_part(row, again));
    let keeps_parts = row.v > FORMAT_1;
    // Another check may have read other values. The patches are those of the check that closes the job.
    let closes_with_body = keeps_parts && read.is_some();
    if let Some(part) = &part {
        outcome.again += part.patches.len() as u64;
        if !keeps_parts {
            clients.queues.send_part(part, after_ms).await?;
        } else if !closes_with_body {
            clients.ledger.put_bodies(std::slice::from_ref(part), now_ms).await?;
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
    let body = part.as_ref().filter(|_| closes_with_body).map(|part| (part, now_ms));
    let is_closed = close_with(clients, row, closing, body, outcome).await?;
    let Some(mut part) = part.filter(|_| keeps_parts) else { return Ok(()) };
    // Another check may have closed the job with another end. A lost message is sent again, because
    // the closed job names the part.
    let named = clients.ledger.job(row).await?.and_then(|row| row.again);
    if named.as_ref() != Some(&part.id) {
        return Ok(());
    }
    if closes_with_body && !is_closed {
        let stored = clients.ledger.bodies(&row.run, row.v, vec![part.id.clone()]).await?;
        part = stored.into_iter().next().unwrap_or(part);
    }
    clients.queues.send_part(&part, after_ms).await?;
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
    close_with(clients, row, closing, None, outcome).await.map(|_| ())
}

/// Closes a job and writes the patches of its follow-up part, unless it is closed. Returns whether this
/// call closed it.
async fn close_with(
    clients: &Clients,
    row: &JobRow,
    closing: Closing,
    body: Option<(&Part, i64)>,
    outcome: &mut CheckOutcome,
) -> Result<bool, StepError> {
    let failed = closing.failed;
    let unattributed = closing.unattributed;
    let is_closed = {
        let _turn = clients.closing.lock().await;
        clients.ledger.close_job_with(row, &closing, body).await?
    };
    if is_closed {
        outcome.closed += 1;
        outcome.failed += failed;
        outcome.unattributed += unattributed;
        outcome.with_errors += u64::from(closing.end == End::CompletedWithErrors);
        outcome.unknown += u64::from(closing.end == End::Unknown);
    }
    Ok(is_closed)
}

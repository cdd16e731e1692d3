//! Sends the messages of parts later, or again. A part is in the ledger before it is in the queue, so
//! a lost, expired or deleted message costs time only: the part's done mark makes a second message
//! harmless.
//!
//! A resume, a restart, the release of parts that were held back, and a queue that has lost messages
//! request it. The first three begin it, and the tick goes on, in as many invocations as it takes.

use crate::domain::run::{Cursor, Run};
use crate::ledger::Resends;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Parts that are read and sent at once: at most 8 MB, and usually 100 KB.
const AT_ONCE: usize = 20;
/// Time that the next parts need, in milliseconds.
const LEFT_MS: i64 = 8_000;
/// The patches queue must be empty in this many reads before its messages count as lost.
const EMPTY_READS: u32 = 3;
/// The least time between two such reads, in milliseconds. SQS's counts are late by up to a minute.
pub const BETWEEN_READS_MS: i64 = 55_000;
/// A message that is older than this is sent again, in milliseconds: SQS deletes it after 14 days.
const MESSAGE_LIFE_MS: i64 = 12 * 24 * 3600 * 1000;

/// Sends messages that were requested and are not sent yet. Returns their number. A run that stops
/// in the meantime, or holds its parts back, ends it.
pub async fn go_on(clients: &Clients, run: &Run, cursor: &Cursor, at: &Invocation) -> Result<u64, StepError> {
    let ledger = &clients.ledger;
    let mut resends = ledger.resends(&run.id).await?;
    if !resends.pending || !run.submits() {
        return Ok(0);
    }
    let mut sent = 0;
    while at.left_ms() > LEFT_MS && !at.is_stopping() {
        let Some(next) = ledger.unended_parts(run, cursor.generation, resends.after.as_ref()).await? else {
            ledger.resent_all(&run.id, &resends, at.clock.now_ms()).await?;
            break;
        };
        let now = ledger.run(&run.id).await?;
        if !now.is_some_and(|now| now.submits() && now.generation == run.generation) {
            break;
        }
        for parts in next.parts.chunks(AT_ONCE) {
            clients.queues.send_parts(&ledger.bodies(&run.id, run.v, parts.to_vec()).await?).await?;
        }
        sent += next.parts.len() as u64;
        if !ledger.resent_to(&run.id, &resends, &next.to).await? {
            break;
        }
        resends.after = Some(next.to);
    }
    if sent > 0 {
        tracing::info!(run = run.id.as_str(), parts = sent, "the messages of parts are sent");
    }
    Ok(sent)
}

/// Requests a resend if the queue has lost the messages of parts. The caller knows that parts of the
/// run have no end. Returns whether the queue was empty at the last read, so that another one must
/// follow soon. An error only delays the resend.
pub async fn request_if_lost(clients: &Clients, run: &Run, at: &Invocation) -> bool {
    match read_queue(clients, run, at).await {
        Ok(is_empty) => is_empty,
        Err(error) => {
            tracing::warn!(run = run.id.as_str(), %error, "cannot tell whether the patches queue has lost messages");
            false
        }
    }
}

async fn read_queue(clients: &Clients, run: &Run, at: &Invocation) -> Result<bool, StepError> {
    let now_ms = at.clock.now_ms();
    let mut resends = clients.ledger.resends(&run.id).await?;
    if resends.pending {
        return Ok(false);
    }
    let is_old = now_ms - resends.sent_ms.max(run.started_ms) > MESSAGE_LIFE_MS;
    if !is_old && now_ms - resends.read_ms < BETWEEN_READS_MS {
        return Ok(true);
    }
    let is_empty = clients.queues.patches_are_empty().await?;
    let before = resends.clone();
    if after_read(&mut resends, is_empty, now_ms) || is_old {
        tracing::warn!(run = run.id.as_str(), is_old, "the patches queue has lost messages: they are sent again");
        clients.ledger.request_resend(&run.id, now_ms).await?;
    } else if resends != before {
        clients.ledger.queue_was_read(&run.id, &resends, now_ms).await?;
    }
    Ok(is_empty)
}

/// Notes a read of the queue. Returns whether its messages count as lost.
fn after_read(resends: &mut Resends, is_empty: bool, now_ms: i64) -> bool {
    if is_empty {
        resends.empty_reads += 1;
        resends.read_ms = now_ms;
    } else {
        resends.empty_reads = 0;
        resends.read_ms = 0;
    }
    resends.empty_reads >= EMPTY_READS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_empty_three_times_has_lost_its_messages() {
        let mut resends = Resends::default();
        let reads = [true, true, false, true, true, true];
        let lost: Vec<bool> =
            (1..).zip(reads).map(|(minute, is_empty)| after_read(&mut resends, is_empty, minute * 60_000)).collect();
        assert_eq!(lost, [false, false, false, false, false, true]);
    }
}

//! Sends the messages of parts later, or again. A part is in the ledger before it is in the queue, so
//! a lost, expired or deleted message costs time only: the part's done mark makes a second message
//! harmless.
//!
//! A resume, a restart, the release of parts that were held back, and a queue that may have lost messages
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
/// After this time in which no part ends, messages are lost if the queue has fewer of them than there are
/// parts, in milliseconds. If no part is tried either, they may be lost although it has as many: it can
/// hold others, such as one of a newer version. If it has several times as many, the time is as many times as
/// long, because each resend adds to them.
const STILL_MS: i64 = 3600 * 1000;
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

/// Requests a resend if the queue may have lost the messages of parts, of which so many have no end.
/// Returns whether the queue was empty at the last read, so that another one must follow soon. An error
/// only delays the resend.
pub async fn request_if_lost(clients: &Clients, run: &Run, open: u64, at: &Invocation) -> bool {
    match read_queue(clients, run, open, at).await {
        Ok(is_empty) => is_empty,
        Err(error) => {
            tracing::warn!(run = run.id.as_str(), %error, "cannot tell whether the patches queue has lost messages");
            false
        }
    }
}

async fn read_queue(clients: &Clients, run: &Run, open: u64, at: &Invocation) -> Result<bool, StepError> {
    let (ledger, now_ms) = (&clients.ledger, at.clock.now_ms());
    let mut resends = ledger.resends(&run.id).await?;
    if resends.pending {
        return Ok(false);
    }
    let is_old = now_ms - resends.sent_ms.max(run.started_ms) > MESSAGE_LIFE_MS;
    if !is_old && now_ms - resends.read_ms < BETWEEN_READS_MS {
        return Ok(true);
    }
    let queued = clients.queues.patches_queued().await?;
    let before = resends.clone();
    let seen = after_read(&mut resends, queued, open, now_ms);
    let is_lost = match seen {
        Seen::Lost => true,
        Seen::Still => ledger.tried_ms(&run.id).await?.is_none_or(|tried_ms| now_ms - tried_ms > STILL_MS),
        Seen::Nothing => false,
    };
    if is_lost || is_old {
        tracing::warn!(
            run = run.id.as_str(),
            ?seen,
            is_old,
            "the patches queue has lost messages, or may have: those of parts without end are sent again"
        );
        ledger.request_resend(&run.id, now_ms).await?;
    } else if resends != before {
        ledger.queue_was_read(&run.id, &resends, now_ms).await?;
    }
    Ok(queued == Some(0))
}

/// The result of reading the queue several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// It was empty often enough, or no part has ended for a long time, and it has fewer messages than
    /// there are parts.
    Lost,
    /// No part has ended for a long time, and the queue has at least as many messages as there are parts.
    Still,
}

/// Notes a read of the queue, which has so many messages, while so many parts have no end.
fn after_read(resends: &mut Resends, queued: Option<u64>, open: u64, now_ms: i64) -> Seen {
    let is_empty = queued == Some(0);
    resends.empty_reads = if is_empty { resends.empty_reads + 1 } else { 0 };
    resends.read_ms = if is_empty { now_ms } else { 0 };
    if resends.open_since_ms == 0 || resends.parts_open != open {
        resends.parts_open = open;
        resends.open_since_ms = now_ms;
    }
    if resends.empty_reads >= EMPTY_READS {
        return Seen::Lost;
    }
    let Some(queued) = queued else { return Seen::Nothing };
    let messages_of_part = queued.div_ceil(open.max(1)).max(1) as i64;
    if now_ms - resends.open_since_ms <= STILL_MS.saturating_mul(messages_of_part) {
        Seen::Nothing
    } else if queued < open {
        Seen::Lost
    } else {
        Seen::Still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(reads: impl IntoIterator<Item = (i64, Option<u64>, u64)>) -> Vec<Seen> {
        let mut resends = Resends::default();
        let of = |(minute, queued, open)| after_read(&mut resends, queued, open, minute * 60_000);
        reads.into_iter().map(of).collect()
    }

    #[test]
    fn a_queue_that_is_empty_three_times_has_lost_its_messages() {
        let queued = [Some(0), Some(0), Some(3), Some(0), None, Some(0), Some(0), Some(0)];
        let seen = seen((1..).zip(queued).map(|(minute, queued)| (minute, queued, 9)));
        assert_eq!(seen, [[Seen::Nothing; 7].as_slice(), &[Seen::Lost]].concat());
    }

    #[test]
    fn a_queue_has_lost_messages_if_no_part_ends_for_an_hour() {
        use Seen::{Lost, Nothing, Still};
        let of = |reads: &[(i64, u64, u64)]| {
            seen(reads.iter().map(|(minute, queued, open)| (*minute, Some(*queued), *open)))
        };
        assert_eq!(
            of(&[(1, 2, 2), (31, 2, 2), (61, 2, 2), (62, 2, 2), (92, 1, 2)]),
            [Nothing, Nothing, Nothing, Still, Lost]
        );
        // A part ended.
        assert_eq!(of(&[(1, 2, 2), (60, 2, 1), (62, 1, 1), (121, 1, 1)]), [Nothing, Nothing, Nothing, Still]);
        // The queue has more messages than parts.
        assert_eq!(of(&[(1, 3, 2), (70, 3, 2), (121, 3, 2), (122, 3, 2)]), [Nothing, Nothing, Nothing, Still]);
        assert_eq!(of(&[(1, 9, 2), (300, 9, 2), (302, 9, 2)]), [Nothing, Nothing, Still]);
    }
}

//! Continues the active run, and sends the messages that it needs for that. The steps scroll and
//! control accept such an event.

use crate::control::{self, Continued, Resumed};
use crate::domain::clock::Clock;
use crate::domain::run::{FORMAT_1, Phase};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::Resume;

/// Continues the active run. If this is interrupted before a message is sent, the tick sends it.
pub(super) async fn resume(clients: &Clients, why: Resume, clock: Clock) -> Result<Resumed, StepError> {
    let resumed = match why {
        Resume::Restarted => control::restart(&clients.ledger, clock).await?,
        Resume::Requested => control::resume(&clients.ledger, why, clock).await?,
    };
    let now_ms = clock.now_ms();
    let (run, turn, delay_ms, resends) = match &resumed {
        Resumed::Regenerated(cursor) => {
            // Messages that arrived during a pause are gone.
            (&cursor.run, Some(cursor.present()), cursor.not_before_ms - now_ms, cursor.v > FORMAT_1)
        }
        Resumed::Restarted(cursor) => {
            let turn = (cursor.phase != Phase::Ended).then(|| cursor.present());
            (&cursor.run, turn, cursor.not_before_ms - now_ms, true)
        }
        Resumed::Continued(Continued { run, turn, delay_ms, resends_parts }) => {
            (run, turn.clone(), *delay_ms, *resends_parts)
        }
        Resumed::Unchanged(_) | Resumed::NoRun => return Ok(resumed),
    };
    if resends {
        clients.ledger.request_resend(run, now_ms).await?;
    }
    if let Some(turn) = turn {
        clients.queues.send_turn(&turn, delay_ms).await?;
    }
    Ok(resumed)
}

//! What a page that did not come means for the cursor.

use super::Action;
use super::turn::Decision;
use crate::domain::run::{Cursor, Run, State};
use crate::intercom::{Disposition, Error, advice, disposition};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Waits after `scroll_exists`: the life of a scroll, twice that, and this long (or three lives). After the last the run
/// fails.
const EXISTS_LAST_MS: i64 = 300_000;
const EXISTS_WAITS: u32 = 3;
/// Between two pages in a row that may be lost: a disturbance of seconds costs few of them.
const BETWEEN_GAPS_MS: i64 = 5_000;

/// What a failed request means for the cursor.
pub(super) async fn failed(
    clients: &Clients,
    run: &Run,
    mut next: Cursor,
    error: &Error,
    at: &Invocation,
) -> Result<Decision, StepError> {
    let now_ms = at.clock.now_ms();
    let listed = run.listed.is_some();
    let life_ms = next.scroll_life_ms;
    let later = |next: Cursor, why: &str| Decision::rest(next, now_ms, now_ms, why);
    tracing::warn!(run = run.id.as_str(), page = next.page + 1, %error, "a page did not come");
    Ok(match disposition(error, at.clock.now_s()) {
        Disposition::Limited { wait_s } => {
            let until_ms = clients.limiter.limited(wait_s, at.clock).await;
            Decision::rest(next, now_ms, until_ms, "Intercom's rate limit")
        }
        Disposition::NotSent => later(next, "Intercom could not be reached"),
        Disposition::Later => later(next, "Intercom asked to come back later"),
        Disposition::ScrollExists if next.scroll.is_none() => exists(next, now_ms),
        Disposition::CursorExpired if next.scroll.is_some() => {
            // After a lost page a newer cursor may be open that nobody told us.
            next.called_ms = if next.gaps.is_empty() { 0 } else { next.called_ms };
            next.scroll = None;
            next.excused = next.was_kept_from_reading(now_ms);
            next.cut = Some("the scroll expired before its end".to_owned());
            next.waits = Some("the scroll expired before its end: it is begun again".to_owned());
            next.settle(now_ms);
            Decision::turn(next, Action::Regenerated)
        }
        // Reading a user by id changes nothing at Intercom: it is simply asked again.
        Disposition::Ambiguous | Disposition::ScrollExists if listed => later(next, "Intercom did not answer"),
        Disposition::Ambiguous | Disposition::ScrollExists => {
            if next.scroll.is_none() {
                // The scroll that is met next may be this one, so the waits for another program's begin again.
                next.exists_tries = 0;
                let why = format!("the first page's answer was lost ({}); its scroll must expire first", error.said());
                return Ok(Decision::rest(next, now_ms, now_ms + life_ms, &why));
            }
            // The request may have been carried out: the scroll is as young as it.
            next.answered();
            next.gap();
            let again = next.idle_turns > 1;
            next.not_before_ms = if again { now_ms + BETWEEN_GAPS_MS } else { 0 };
            next.waits = again.then(|| "Intercom does not answer: pages may be lost".to_owned());
            Decision::turn(next, Action::Gap)
        }
        Disposition::CursorExpired | Disposition::RunFault | Disposition::NotFound | Disposition::ItemRejected => {
            if next.scroll.is_none() {
                // Refused, the first call opened no scroll that the next run would have to wait for.
                next.called_ms = 0;
            }
            let reason = format!("{error}. {}", advice(error));
            Decision::state(next, State::Failed, reason)
        }
    })
}

/// Somebody holds the workspace's only scroll.
fn exists(mut next: Cursor, now_ms: i64) -> Decision {
    next.answered();
    let Some(wait_ms) = exists_wait_ms(next.exists_tries, next.scroll_life_ms) else {
        let reason = "another program holds the workspace's only scroll: look for integrations, scripts or a second copy \
                      of this stack that read all users; a scroll ends 60 s after its last page. Then start again";
        return Decision::state(next, State::Failed, reason);
    };
    next.exists_tries += 1;
    let why = "another scroll is open in the workspace (possibly our own of before)";
    let mut decision = Decision::wait(next, now_ms + wait_ms, why);
    decision.next.idle_turns -= 1; // These waits have a bound of their own.
    decision
}

/// How long another program's scroll is waited for after so many tries; none, if that is over.
fn exists_wait_ms(tries: u32, life_ms: i64) -> Option<i64> {
    match tries {
        0 | 1 => Some(life_ms * i64::from(tries + 1)),
        tries if tries < EXISTS_WAITS => Some(EXISTS_LAST_MS.max(3 * life_ms)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_s_scroll_is_waited_for_by_the_setting() {
        let waits = |life_ms| (0..4).map(|tries| exists_wait_ms(tries, life_ms)).collect::<Vec<_>>();
        assert_eq!(waits(65_000), [Some(65_000), Some(130_000), Some(300_000), None]);
        assert_eq!(waits(600_000), [Some(600_000), Some(1_200_000), Some(1_800_000), None]);
    }
}

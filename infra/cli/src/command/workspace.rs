//! Identifies the workspace of a token, for messages and for the folder of its runs.

use std::time::Duration;

use intercom_bulk::intercom::{Disposition, Error, Intercom, WorkspaceInfo, disposition};
use intercom_bulk::rate_limit::wait_after_429;

use intercom_bulk_emulator::engine::machine_wall;

/// Pauses between attempts. Without an answer, another folder would be used and its runs be missed.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];
/// The length of a rate limit window.
const WINDOW_S: u64 = 10;

/// Requests the workspace from Intercom, with retries.
pub(super) async fn of_token(intercom: &Intercom) -> Result<WorkspaceInfo, Error> {
    for pause in PAUSES {
        match intercom.workspace().await {
            Ok(reply) => return Ok(reply.value),
            Err(error) => match passing(&error) {
                Some(wait) => tokio::time::sleep(wait.max(pause)).await,
                None => return Err(error),
            },
        }
    }
    intercom.workspace().await.map(|reply| reply.value)
}

/// Returns the wait until a retry; `None` for a permanent error.
pub(super) fn passing(error: &Error) -> Option<Duration> {
    match disposition(error) {
        Disposition::Limited => Some(rest_of_window(error)),
        Disposition::NotSent | Disposition::TooLate | Disposition::Ambiguous | Disposition::Later => {
            Some(Duration::ZERO)
        }
        _ => None,
    }
}

/// Returns the wait after a 429, at most a window.
fn rest_of_window(error: &Error) -> Duration {
    let wait_s = match error {
        Error::Refused { retry_after_s, rate, .. } => wait_after_429(*retry_after_s, *rate, machine_wall()() / 1000),
        _ => None,
    };
    Duration::from_secs(wait_s.unwrap_or(WINDOW_S).min(WINDOW_S))
}

//! Which workspace a token belongs to: its name for people, and its folder's for its runs.

use std::time::Duration;

use intercom_bulk::intercom::{Disposition, Error, Intercom, WorkspaceInfo, disposition};

use intercom_bulk_emulator::engine::machine_wall;

/// Pauses before the question is asked again: another answer would be another folder, and its runs would be missed.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];
/// A window of the rate limit.
const WINDOW_S: u64 = 10;

/// Asks Intercom, and again where it did not answer.
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

/// How long to wait for an error to pass; none for one that will not.
pub(super) fn passing(error: &Error) -> Option<Duration> {
    match disposition(error, machine_wall()() / 1000) {
        Disposition::Limited { wait_s } => Some(Duration::from_secs(wait_s.unwrap_or(WINDOW_S).min(WINDOW_S))),
        Disposition::NotSent | Disposition::Ambiguous | Disposition::Later => Some(Duration::ZERO),
        _ => None,
    }
}

//! The states of a run, and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for the run before it.
    Queued,
    /// Turns pages.
    Running,
    /// All pages are turned; parts and jobs are on their way.
    Draining,
    /// Stopped by a limit or an operator; a new generation goes on.
    Paused,
    /// Ended: every user has the plan's value or was left alone by its rules.
    Complete,
    /// Ended: all pages seen, and each user without the plan's value is recorded as an error.
    CompleteWithErrors,
    /// Ended: some users may not have been seen or their jobs' ends are not known; the reason says how many.
    Incomplete,
    /// Ended: it could not go on; the reason says what to do.
    Failed,
    /// Ended by an operator or by a later start.
    Cancelled,
}

impl State {
    /// Whether the run is over.
    pub fn ended(self) -> bool {
        matches!(self, Self::Complete | Self::CompleteWithErrors | Self::Incomplete | Self::Failed | Self::Cancelled)
    }

    /// Whether patches of the run are submitted.
    pub fn submits(self) -> bool {
        matches!(self, Self::Running | Self::Draining)
    }

    /// Whether this state may become that one. An end is final.
    pub fn may_become(self, next: Self) -> bool {
        use State::{Cancelled, Draining, Failed, Incomplete, Paused, Queued, Running};
        match (self, next) {
            (Queued, next) => matches!(next, Running | Cancelled | Failed),
            (Running, next) => matches!(next, Draining | Paused | Failed | Incomplete | Cancelled),
            // Draining goes back where a restart lost the parts that were under way.
            (Draining, next) => next.ended() || matches!(next, Running | Paused),
            (Paused, next) => matches!(next, Running | Cancelled | Failed | Incomplete),
            _ => false,
        }
    }

    /// The word that is stored, logged and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::Complete => "complete",
            Self::CompleteWithErrors => "complete_with_errors",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::State::{self, *};

    const ALL: [State; 9] =
        [Queued, Running, Draining, Paused, Complete, CompleteWithErrors, Incomplete, Failed, Cancelled];

    #[test]
    fn an_end_is_final_and_reachable() {
        for state in ALL {
            let next: Vec<_> = ALL.into_iter().filter(|&next| state.may_become(next)).collect();
            assert_eq!(state.ended(), next.is_empty(), "{state} → {next:?}");
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn nothing_completes_without_draining() {
        let before: Vec<_> = ALL.into_iter().filter(|state| state.may_become(Complete)).collect();
        assert_eq!(before, [Draining]);
    }
}

//! The states of a run and their transitions.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Display, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// Reads pages.
    Running,
    /// All pages are read; some parts or jobs have not ended.
    Draining,
    /// All parts and jobs have ended; some of the written users are read back.
    Verifying,
    /// Stopped by a limit or an operator. A resume returns to the state before.
    Paused,
    /// Ended: every user has the plan's value or was skipped by its rules.
    Complete,
    /// Ended: all pages seen, and each user without the plan's value has an error row.
    CompleteWithErrors,
    /// Ended: some users may be unseen or their jobs' ends unknown; the reason says how many.
    Incomplete,
    /// Ended: it could not continue; the reason says what to do.
    Failed,
    /// Ended by an operator or by a later start.
    Cancelled,
}

impl State {
    /// Returns whether the run has ended.
    pub fn ended(self) -> bool {
        matches!(self, Self::Complete | Self::CompleteWithErrors | Self::Incomplete | Self::Failed | Self::Cancelled)
    }

    /// Returns whether patches of the run are submitted.
    pub fn submits(self) -> bool {
        matches!(self, Self::Running | Self::Draining)
    }

    /// Returns whether the steps work on the run: it has not ended and is not paused.
    pub fn works(self) -> bool {
        self.submits() || self == Self::Verifying
    }

    /// Returns whether a run may change from this state to `next`. A final state does not change.
    pub fn may_become(self, next: Self) -> bool {
        use State::{Cancelled, Draining, Failed, Incomplete, Paused, Running, Verifying};
        match (self, next) {
            (Running, next) => matches!(next, Draining | Paused | Failed | Incomplete | Cancelled),
            // Draining goes back to running if a new generation is requested.
            (Draining, next) => next.ended() || matches!(next, Running | Paused | Verifying),
            // Verifying goes back to draining if a job was recorded late.
            (Verifying, next) => next.ended() || matches!(next, Draining | Paused),
            (Paused, next) => matches!(next, Running | Draining | Cancelled | Failed | Incomplete),
            _ => false,
        }
    }

    /// Returns the word that is stored, logged and shown.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::State::{self, *};

    #[test]
    fn final_states_are_final_and_reachable() {
        for &state in State::VARIANTS {
            let next: Vec<_> = State::VARIANTS.iter().filter(|&&next| state.may_become(next)).collect();
            assert_eq!(state.ended(), next.is_empty(), "{state} → {next:?}");
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn nothing_completes_without_draining() {
        let before: Vec<_> = State::VARIANTS.iter().filter(|state| state.may_become(Complete)).collect();
        assert_eq!(before, [&Draining, &Verifying]);
        let before: Vec<_> = State::VARIANTS.iter().filter(|state| state.may_become(Verifying)).collect();
        assert_eq!(before, [&Draining]);
    }
}

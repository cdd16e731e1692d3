//! The outcomes of a part's users.

use serde::{Deserialize, Serialize};

/// The outcome of one user of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserOutcome {
    /// No request with the user was carried out.
    #[default]
    Open,
    /// The answer to a request with the user was lost. The user is sent again.
    Unknown,
    /// The user is in a recorded bulk job, whose end tells the rest.
    InJob,
    /// Intercom confirmed the new values.
    Written,
    /// Intercom refused the user, who has an error.
    Refused,
    /// Intercom has no such user any more: deleted, archived, or merged into another.
    Gone,
}

impl UserOutcome {
    const ALL: [Self; 6] = [Self::Open, Self::Unknown, Self::InJob, Self::Written, Self::Refused, Self::Gone];

    /// Returns whether the user must be sent.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Unknown)
    }

    const fn letter(self) -> char {
        match self {
            Self::Open => '.',
            Self::Unknown => '?',
            Self::InJob => 'j',
            Self::Written => 'w',
            Self::Refused => 'r',
            Self::Gone => 'g',
        }
    }

    fn of_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.letter() == letter)
    }
}

/// The outcomes of a part's users, in the order of its patches. Stored as one letter per user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Outcomes(Vec<UserOutcome>);

impl Outcomes {
    /// Returns the outcomes of a part of this many users of which none was sent.
    pub fn open(users: usize) -> Self {
        Self(vec![UserOutcome::Open; users])
    }

    /// Returns the outcome of a user, by its place; `Open` beyond the last one.
    pub fn of(&self, user: usize) -> UserOutcome {
        self.0.get(user).copied().unwrap_or_default()
    }

    /// Sets the outcome of a user, by its place. A user who is in a job, written or refused keeps
    /// that outcome.
    pub fn set(&mut self, user: usize, outcome: UserOutcome) {
        if let Some(present) = self.0.get_mut(user).filter(|present| present.is_open()) {
            *present = outcome;
        }
    }

    /// Returns the number of users that must be sent.
    pub fn left(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.is_open()).count()
    }
}

impl From<Outcomes> for String {
    fn from(outcomes: Outcomes) -> Self {
        outcomes.0.into_iter().map(UserOutcome::letter).collect()
    }
}

impl TryFrom<String> for Outcomes {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let outcomes: Option<Vec<_>> = text.chars().map(UserOutcome::of_letter).collect();
        outcomes.map(Self).ok_or("not outcomes of users")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_kept_and_stored_as_a_letter() {
        let mut outcomes = Outcomes::open(4);
        for (user, outcome) in [
            (0, UserOutcome::Unknown),
            (0, UserOutcome::InJob),
            (0, UserOutcome::Unknown),
            (1, UserOutcome::Refused),
            (2, UserOutcome::Unknown),
            (9, UserOutcome::Refused),
        ] {
            outcomes.set(user, outcome);
        }
        assert_eq!(serde_json::to_value(&outcomes).unwrap(), "jr?.");
        assert_eq!(outcomes.left(), 2);
        assert_eq!(serde_json::from_value::<Outcomes>("jr?.".into()).unwrap(), outcomes);
        assert!(serde_json::from_value::<Outcomes>("jx".into()).is_err());
        assert_eq!(Outcomes::open(2).of(7), UserOutcome::Open);
    }
}

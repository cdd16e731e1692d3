//! A failure to compute a value for one user. Its texts are fixed, so they cannot contain a user's
//! data.

use minijinja::ErrorKind;
use strum::{IntoStaticStr, VariantNames};
use thiserror::Error;

/// The reason for a missing value, for counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum FailureCode {
    /// The expression needs more instructions than one user may cost.
    OutOfFuel,
    /// A value has another type than the operator, the filter or the target accepts.
    WrongType,
    /// A division by zero.
    DivisionByZero,
    /// A number that is not finite, or an integer beyond 2^53.
    NumberTooLarge,
    /// A text is longer than Intercom stores.
    TextTooLong,
    /// A date in milliseconds.
    NotUnixSeconds,
    /// A filter or a test refused its input.
    FilterFailed,
    /// There is no value, and the plan says `otherwise = "error"`.
    ValueUndefined,
    /// The plan reads what it writes, and would write again after writing.
    NeverSettles,
}

impl FailureCode {
    /// Returns the code as it is written in rows and logs.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub(super) fn because(self, message: &'static str) -> Failure {
        Failure { code: self, message }
    }
}

/// A code and a sentence. The text is `'static`, so that it cannot contain a user's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub(super) struct Failure {
    pub(super) code: FailureCode,
    pub(super) message: &'static str,
}

/// Passes a failure through the engine as the source of its error.
impl From<Failure> for minijinja::Error {
    fn from(failure: Failure) -> Self {
        Self::new(ErrorKind::InvalidOperation, failure.message).with_source(failure)
    }
}

impl From<&minijinja::Error> for Failure {
    /// Keeps only the kind of the engine's own errors: their details can quote a value.
    fn from(error: &minijinja::Error) -> Self {
        let ours = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Self>());
        match (ours, error.kind()) {
            (Some(failure), _) => *failure,
            (None, ErrorKind::OutOfFuel) => FailureCode::OutOfFuel.because("the expression does too much work"),
            (None, ErrorKind::MissingArgument | ErrorKind::TooManyArguments) => {
                FailureCode::FilterFailed.because("a filter or test got too few or too many arguments")
            }
            (None, _) => FailureCode::FilterFailed.because("a filter or test cannot work on this user's value"),
        }
    }
}

//! The points at which a process can die: before and after each external call, by step and call.

use std::fmt;

/// The step of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Scroll,
    Submit,
    Check,
    Control,
}

/// The side of a call's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Before,
    After,
}

/// A point at which an invocation waits for an external call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AwaitPoint {
    pub(crate) step: Step,
    pub(crate) call: Box<str>,
    pub(crate) side: Side,
}

impl fmt::Display for AwaitPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, side) = (format!("{:?}", self.step).to_lowercase(), format!("{:?}", self.side).to_lowercase());
        write!(f, "{step} {side} {}", self.call)
    }
}

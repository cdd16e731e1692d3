//! The places where a process can die: before and after each call to the outside, told apart by step and by what is
//! called.

use std::fmt;

/// A step, as an invocation is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Scroll,
    Submit,
    Check,
}

/// On which side of a call's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Before,
    After,
}

/// Where an invocation waits for the outside.
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

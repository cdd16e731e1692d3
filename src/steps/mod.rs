//! The steps, one function each. No step imports another; `resume` is shared by scroll and control.

pub mod check;
pub mod control;
mod resume;
pub mod scroll;
pub mod submit;

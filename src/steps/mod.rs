//! The steps, one function each. No step imports another.

pub mod check;
pub mod scroll;
pub mod submit;

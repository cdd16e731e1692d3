//! Batches of an emulated queue, and the pure functions.

mod pure;
mod queue;

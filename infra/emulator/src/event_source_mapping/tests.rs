//! Batches of an emulated queue, and the pure parts.

mod pure;
mod queue;

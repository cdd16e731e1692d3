//! The `intercom-bulk` command.
//!
//! # Layout
//!
//! * `command`: one module per command.
//! * `session`: an engine that works on one run. `state_dir`: the folder of the local ledger.
//!   `stack`: a deployed stack.
//! * `progress`, `summary`, `preview`, `error_kinds`, `changed`, `output`: text for the user.
//! * `jobs_seen`, `estimate`: the numbers behind the progress. `stop`: the signals that end a
//!   command.

pub mod changed;
pub mod command;
pub mod error_kinds;
pub mod estimate;
pub mod jobs_seen;
pub mod output;
pub mod preview;
pub mod progress;
pub mod session;
pub mod stack;
pub mod state_dir;
pub mod stop;
pub mod summary;

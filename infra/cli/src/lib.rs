//! The `intercom-bulk` command.
//!
//! # Layout
//!
//! * `command`: one module per command.
//! * `session`: an engine that works on one run. `state_dir`: the folder of the local ledger.
//!   `stack`: a deployed stack.
//! * `progress`, `summary`, `read_back`, `preview`, `undone`, `error_kinds`, `changed`, `output`: text for the
//!   user. `spreadsheet`, `contact_link`: CSV.
//! * `saved`: the file of a saved preview.
//! * `notify`: the message at the end of a run.
//! * `jobs_seen`, `estimate`: the numbers behind the progress. `stop`: the signals that end a
//!   command. `under_way`: the requests that an ended process left behind.

mod changed;
pub mod command;
mod contact_link;
mod error_kinds;
mod estimate;
pub mod jobs_seen;
mod notify;
mod output;
mod preview;
pub mod progress;
mod read_back;
mod saved;
pub mod session;
mod spreadsheet;
mod stack;
mod state_dir;
mod stop;
mod summary;
mod under_way;
mod undone;

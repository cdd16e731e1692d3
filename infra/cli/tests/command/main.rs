//! The command as a user starts it, against a simulated workspace in another process.

#![expect(clippy::unwrap_used, reason = "what a test sets up by itself may panic")]

mod auto;
mod field;
mod kills;
mod looks;
mod notify;
mod phase;
mod retries;
mod saves;
mod session;
mod stops;
mod stops_of_writes;
mod tells;
mod tries;
mod undos;
mod uses;
mod validates;
mod verbs;
mod world;

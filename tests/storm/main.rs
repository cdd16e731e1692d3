//! The storm: the steps as they ship, in a world where everything goes wrong that can, in virtual time.
//!
//! A seed tells a [`story`]: a small workspace with its faults, a few starts, and the [`weather`]. The [`seams`] carry each
//! call of the steps through it; the [`functions`] die at await points, run side by side, and have clocks of their own.
//! After every step of the world the [`promises`] are checked. A seed that fails is told again with
//!
//! ```text
//! STORM_SEED=123 cargo test --test storm -- --nocapture
//! ```
//!
//! `STORM_SEEDS=10000` plays that many fresh ones. `seeds.txt` keeps those that ever failed.

mod accident;
mod await_point;
mod conformance;
mod faults;
mod functions;
mod limits;
mod mutations;
mod operator;
mod outage;
mod plans;
mod play;
mod process;
mod promises;
mod rare;
#[path = "../roles/mod.rs"]
mod roles;
mod schedules;
mod seams;
#[path = "../sqs/mod.rs"]
mod sqs;
mod starts;
mod storm;
mod story;
mod tally;
mod tell;
mod weather;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

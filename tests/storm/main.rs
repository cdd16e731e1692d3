//! The storm: the real steps, with every fault that can happen, in virtual time.
//!
//! A seed determines a [`story`]: a small workspace with its faults, a few starts, and the
//! [`weather`]. The [`seams`] pass each call of the steps through the weather. The [`functions`]
//! die at await points, run concurrently, and have their own clocks. The [`promises`] are checked
//! after every step of the world. To repeat a seed that failed:
//!
//! ```text
//! STORM_SEED=123 cargo test --test storm -- --nocapture
//! ```
//!
//! `STORM_SEEDS=10000` plays that many fresh seeds. `seeds.txt` keeps those that ever failed.
//! Each seed draws API 1.4, 2.17 or Preview, unless `STORM_API` chooses one: `1.4`, `2.17` or `preview`.
//! `STORM_ONLY=retry` or `undo` leaves out the seeds that do not draw one.

mod accident;
mod again;
mod api;
mod asked;
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
mod rollback;
mod schedules;
mod seams;
mod shape;
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

//! A simulated Intercom workspace, as it was when bulk jobs were in the documentation: strict, stateful, and able to go wrong.
//!
//! * **Put a client through it without a socket**: [`World::new`], then [`World::router`] as a `tower` service.
//! * **Serve it**: [`World::serve`]. `GET /_simulator/state` and `GET /_simulator/users` show what happened.
//! * **Look behind the scenes**: [`World::state`], [`World::users`], [`World::set_user`].
//! * **Describe it in a file**: [`Described::from_json`], then [`Options::described`].
//! * **Make something go wrong**: a list of [`Fault`]s in the [`Options`], each also readable from text.
//! * **Move time**: the world follows tokio's clock, which a test can pause and advance, or any clock in [`Options::now`].
//!
//! It shares no code with the client it is there to test, so that one mistake cannot hide in both. Where Intercom's behaviour
//! is not known, the world has an option instead of a guess; [`Choice`] reads those from text.
//!
//! A request goes through `routes` (HTTP) to `gate` (who is let in) and `limit`, then to `scroll`, `reads` or `work`. `work`
//! keeps `bulk` requests as `jobs`, whose items `upsert` carries out on the `people` when they are due.

mod born;
mod bulk;
mod chance;
mod choice;
mod described;
mod edit;
mod fault;
mod fired;
mod gate;
mod host;
mod html;
mod job_body;
mod jobs;
mod limit;
mod options;
mod others;
mod people;
mod reads;
mod route;
mod routes;
mod scroll;
mod state;
mod timer;
mod upsert;
mod user;
mod wire;
mod words;
mod work;
mod workspace;
mod world;

pub use choice::{Charge, Choice, ChoiceError};
pub use described::{Described, DescribedError, OddPost, Quirks, Users};
pub use fault::{Fault, FaultError};
pub use host::local_hosts_only;
pub use options::{
    JOB_OBJECT_DELAY_S, Now, NullAttribute, Options, Order, PAGE_SIZE, RATE_LIMIT_PER_10S, RateRemaining, RateReset,
    SCROLL_TTL_S, Slot,
};
pub use state::{JobState, State};
pub use world::World;

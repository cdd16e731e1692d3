//! A simulated Intercom workspace: users and bulk jobs of API 1.x, and contacts of API 2.x and
//! Preview. It is strict and stateful, and has faults on request.
//!
//! * **Test a client without a socket**: [`World::new`], then [`World::router`] as a `tower`
//!   service.
//! * **Serve it**: [`World::serve`]. `GET /_simulator/state` and `GET /_simulator/users` show its
//!   state.
//! * **Inspect it**: [`World::state`], [`World::users`], [`World::set_user`].
//! * **Describe it in a file**: [`Described::from_json`], then [`Options::described`].
//! * **Inject faults**: a list of [`Fault`]s in the [`Options`]. Each can be parsed from text.
//! * **Select an API**: the `Intercom-Version` header of a request, as in Intercom. Both families have
//!   the same people: a value that one writes is read by the other.
//! * **Control time**: the world follows tokio's clock, which a test can pause and advance, or any
//!   clock in [`Options::now`].
//!
//! It shares no code with the client under test, so that one mistake cannot hide in both. For
//! behaviour that Intercom does not document, the world has an option; [`Choice`] parses those from
//! text.
//!
//! A request goes through `routes` (HTTP) to `gate` (admission) and `limit`, then to `scroll`,
//! `reads`, `work` or, for API 2.x, `contacts`. `work` stores `bulk` requests as `jobs`. `upsert` applies their items to the
//! `people` when they are due.

mod alter;
mod born;
mod bulk;
mod chance;
mod choice;
mod contacts;
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
mod past;
mod people;
mod reads;
mod route;
mod routes;
mod scroll;
mod state;
mod timer;
mod upsert;
mod user;
mod version;
mod wire;
mod words;
mod work;
mod workspace;
mod world;

pub use alter::Alteration;
pub use choice::{Charge, Choice, ChoiceError};
pub use contacts::attributes::{Attribute, DataType};
pub use contacts::fault::{ContactFault, Nth};
pub use contacts::gone::Gone;
pub use contacts::options::{
    BulkErrors, BulkNull, ContactOptions, CustomObject, ListCursor, ListOrder, MergedWrite, Region, Verdict,
};
pub use contacts::route::Operation;
pub use contacts::state::ContactState;
pub use described::{Described, DescribedError, OddPost, Quirks, Users};
pub use fault::{Fault, FaultError};
pub use host::local_hosts_only;
pub use options::{
    JOB_OBJECT_DELAY_S, Now, NullAttribute, Options, Order, PAGE_SIZE, RATE_LIMIT_PER_10S, RateRemaining, RateReset,
    SCROLL_TTL_S, Slot,
};
pub use state::{JobState, State};
pub use version::{Families, Unserved, Version};
pub use world::World;

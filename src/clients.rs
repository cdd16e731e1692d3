//! What every step is given: the three clients and the settings, made once per process.

use crate::config::Settings;
use crate::intercom::Intercom;
use crate::ledger::{Ledger, LedgerError};
use crate::queue::{QueueError, Queues};

/// A step's ways to the outside.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Intercom.
    pub intercom: Intercom,
    /// DynamoDB.
    pub ledger: Ledger,
    /// SQS.
    pub queues: Queues,
    /// How to go about it.
    pub settings: Settings,
}

/// Why a step could not do its work. Lambda delivers the event again; nothing was lost.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The event is none that the step takes.
    #[error(transparent)]
    Event(#[from] crate::event::EventError),
    /// The plan of a start cannot be used.
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    /// A start names a plan that is not stored.
    #[error("there is no plan named \"{name}\" in the ledger: store it first, or give the plan itself")]
    NoPlan {
        /// The name.
        name: String,
    },
}

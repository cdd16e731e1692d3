//! The run that an operator names, and the result of a request for it.

use crate::domain::run::Run;
use crate::ledger::{Ledger, LedgerError};
use crate::runtime::event::Target;

/// The result of a request for a run that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Acted {
    /// The run after the request.
    pub run: Run,
    /// True if this request changed it; false if it was so already, or cannot change.
    pub changed: bool,
}

/// Returns the run that an operator names; `None` if there is none.
pub async fn find(ledger: &Ledger, target: &Target) -> Result<Option<Run>, LedgerError> {
    match target {
        Target::Run(id) => ledger.run(id).await,
        Target::Active => match ledger.active().await?.run {
            Some(id) => ledger.run(&id).await,
            None => Ok(None),
        },
    }
}

//! The values that the previous run of a plan set, read once per process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::run::{PreviousValues, Run, RunId};
use crate::ledger::Ledger;

/// The values of the previous run, by the run that is compared with them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Previous(Arc<Mutex<Option<Of>>>);

/// A run, and the values that are compared with its patches.
#[derive(Clone, Debug)]
struct Of {
    run: RunId,
    values: Arc<PreviousValues>,
}

impl Previous {
    fn kept(&self) -> MutexGuard<'_, Option<Of>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the values for a run.
    pub fn keep(&self, run: &RunId, values: PreviousValues) {
        *self.kept() = Some(Of { run: run.clone(), values: Arc::new(values) });
    }

    /// Returns the values that are kept for a run; none if they were not read.
    pub fn of(&self, run: &RunId) -> Arc<PreviousValues> {
        let kept = self.kept();
        kept.as_ref().filter(|of| of.run == *run).map(|of| of.values.clone()).unwrap_or_default()
    }

    /// Reads the values for a run, unless they are kept. They only serve a warning, so a failure is
    /// logged, and a later page tries again.
    pub async fn read(&self, ledger: &Ledger, run: &Run) {
        if self.kept().as_ref().is_some_and(|of| of.run == run.id) {
            return;
        }
        match ledger.previous_sample(&run.plan, run.started_ms, Some(&run.id)).await {
            Ok(sample) => self.keep(&run.id, PreviousValues::of(sample)),
            Err(error) => tracing::warn!(run = run.id.as_str(), %error, "cannot read the previous run's sample"),
        }
    }
}

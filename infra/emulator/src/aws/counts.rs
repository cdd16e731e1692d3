//! Counts of what AWS bills: calls by operation, and DynamoDB's capacity units.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Running counts, shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Mutex<Billed>>);

/// The counts at one moment.
#[derive(Clone, Debug, Default)]
pub struct Billed {
    /// Calls by operation, like `PutItem` or `SendMessage`. An SDK's retry is a call.
    pub calls: BTreeMap<String, u64>,
    /// Read capacity units.
    pub read_units: f64,
    /// Write capacity units, including indexes and transactions.
    pub write_units: f64,
    /// Time in calls of the emulated DynamoDB. Calls never wait, so this is mostly CPU time.
    pub busy: Duration,
}

impl Counts {
    /// Returns the counts so far.
    pub fn so_far(&self) -> Billed {
        self.billed().clone()
    }

    pub(super) fn add_call(&self, operation: &str) {
        let mut billed = self.billed();
        match billed.calls.get_mut(operation) {
            Some(calls) => *calls += 1,
            None => {
                billed.calls.insert(operation.to_owned(), 1);
            }
        }
    }

    /// Returns the counts for a change. They are consistent after every statement, so a poisoned
    /// lock is safe to use.
    pub(super) fn billed(&self) -> MutexGuard<'_, Billed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

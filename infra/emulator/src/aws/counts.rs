//! What AWS would bill: calls by operation, and DynamoDB's capacity units.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A running tally, shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Mutex<Tally>>);

#[derive(Debug, Default)]
struct Tally {
    calls: BTreeMap<String, u64>,
    read_units: f64,
    write_units: f64,
    busy: Duration,
}

impl Counts {
    /// Calls so far by operation, as `PutItem` or `SendMessage`; an SDK's retry is a call too.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        self.tally().calls.clone()
    }

    /// Read capacity units consumed so far.
    pub fn read_units(&self) -> f64 {
        self.tally().read_units
    }

    /// Write capacity units consumed so far, indexes and transactions included.
    pub fn write_units(&self) -> f64 {
        self.tally().write_units
    }

    /// Time that the emulated DynamoDB worked: its calls never wait, so that this is about its CPU time.
    pub fn busy(&self) -> Duration {
        self.tally().busy
    }

    pub(super) fn add_busy(&self, time: Duration) {
        self.tally().busy += time;
    }

    pub(super) fn add_call(&self, operation: &str) {
        let mut tally = self.tally();
        match tally.calls.get_mut(operation) {
            Some(calls) => *calls += 1,
            None => {
                tally.calls.insert(operation.to_owned(), 1);
            }
        }
    }

    pub(super) fn add_read_units(&self, units: f64) {
        self.tally().read_units += units;
    }

    pub(super) fn add_write_units(&self, units: f64) {
        self.tally().write_units += units;
    }

    /// A tally is whole after every statement, so a panic elsewhere leaves nothing half done.
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

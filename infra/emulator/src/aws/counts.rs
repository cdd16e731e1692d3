//! Counts of what AWS bills: calls by operation, and DynamoDB's capacity units.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Running counts, shared by all clones.
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
    /// Returns the calls so far by operation, like `PutItem` or `SendMessage`. An SDK's retry is a
    /// call.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        self.tally().calls.clone()
    }

    /// Returns the read capacity units so far.
    pub fn read_units(&self) -> f64 {
        self.tally().read_units
    }

    /// Returns the write capacity units so far, including indexes and transactions.
    pub fn write_units(&self) -> f64 {
        self.tally().write_units
    }

    /// Returns the time in calls of the emulated DynamoDB. Calls never wait, so this is mostly CPU
    /// time.
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

    /// A tally is consistent after every statement, so a poisoned lock is safe to use.
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

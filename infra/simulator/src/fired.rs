//! Counts of the faults that struck, by name. A fault on a page that no client requests never
//! strikes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::fault::Fault;
use crate::options::Options;

/// The number of strikes of each fault.
#[derive(Debug, Default)]
pub(crate) struct Fired(RefCell<BTreeMap<&'static str, u64>>);

impl Fired {
    /// Counts one strike of a fault.
    pub(crate) fn note(&self, fault: &Fault) {
        *self.0.borrow_mut().entry(fault.name()).or_default() += 1;
    }

    /// Returns whether the world has this fault. If so, counts one strike.
    pub(crate) fn strikes(&self, options: &Options, fault: &Fault) -> bool {
        let has = options.has(fault);
        if has {
            self.note(fault);
        }
        has
    }

    /// Returns the counts, by the faults' names.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.borrow().iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }
}

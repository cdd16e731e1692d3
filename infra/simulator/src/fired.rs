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

impl Fault {
    /// Returns the fault's name, as in [`Fault::NAMES_HELP`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::LosePage(_) => "lose-page",
            Self::ErrorPage(_) => "error-page",
            Self::ErrorPageKeeps(_) => "error-page-keeps",
            Self::EmptyPage(_) => "empty-page",
            Self::Empty503Page(_) => "empty-503-page",
            Self::ForgetScroll(_) => "forget-scroll",
            Self::ForeignScroll(_) => "foreign-scroll",
            Self::StealScroll { .. } => "steal-scroll",
            Self::ScrollExistsForever => "scroll-exists-forever",
            Self::SlowPage { .. } => "slow-page",
            Self::SlowPages(_) => "slow-pages",
            Self::RepeatPage(_) => "repeat-page",
            Self::LimitPage(_) => "limit-page",
            Self::LimitBulk(_) => "limit-bulk",
            Self::LimitBulkBare(_) => "limit-bulk-bare",
            Self::LoseBulk(_) => "lose-bulk",
            Self::ErrorBulk(_) => "error-bulk",
            Self::LoseJob(_) => "lose-job",
            Self::JobNeverEnds(_) => "job-never-ends",
            Self::JobFails(_) => "job-fails",
            Self::SlowJob { .. } => "slow-job",
            Self::LateJobObject(_) => "late-job-object",
            Self::RejectUser(_) => "reject-user",
            Self::ItemError { .. } => "item-error",
            Self::ItemLimited(_) => "item-limited",
            Self::BadItem(_) => "bad-item",
            Self::PoisonItem { .. } => "poison-item",
            Self::CutName(_) => "cut-name",
            Self::FeedPageSize(_) => "feed-page-size",
            Self::TokenRevokedAfter(_) => "token-revoked-after",
            Self::Denied { .. } => "denied",
            Self::UsersChange => "users-change",
            Self::OthersSpend(_) => "others-spend",
        }
    }
}

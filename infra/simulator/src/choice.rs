//! Choices for behaviour that Intercom does not document. Each choice is one way to behave.

use std::str::FromStr;

use thiserror::Error;

use crate::described::Quirks;
use crate::options::{NullAttribute, Options, Order, RateRemaining, RateReset, Slot};

/// One choice. It is parsed from `name=value`; [`Choice::NAMES_HELP`] lists all choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Each page of a scroll has its own parameter, or the scroll keeps one.
    ScrollParam {
        /// A parameter for each page.
        rotating: bool,
    },
    /// The scrolls of users, leads and companies share the workspace's one place, or each has its
    /// own.
    ScrollSlot(Slot),
    /// The order in which a scroll lists users.
    ScrollOrder(Order),
    /// The number of users that a page repeats from the end of the page before.
    ScrollOverlap(usize),
    /// The operations that a bulk request is charged for, and the time of the charge.
    BulkCharge(Charge),
    /// The effect of a null on a custom attribute.
    NullAttribute(NullAttribute),
    /// The time for which a job can be requested, in seconds.
    JobLife(u64),
    /// The time after its creation for which a job cannot be requested yet, in seconds.
    JobVisibleAfter(u64),
    /// The end of the window in the rate headers.
    RateReset(RateReset),
    /// The requests that the rate headers count.
    RateRemaining(RateRemaining),
    /// The names of users and companies are escaped as HTML, or are plain text.
    Names {
        /// Escaped as HTML.
        escaped: bool,
    },
}

/// The operations that a bulk request is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Each item, after the request is admitted: this may overdraw the window.
    After,
    /// Each item, before the request is admitted: all must fit the window.
    Before,
    /// The request, for any number of items.
    Request,
}

/// The reason that a choice cannot be parsed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChoiceError {
    /// No choice has that name.
    #[error("there is no option `{name}`; there are:\n{}", Choice::NAMES_HELP)]
    Unknown {
        /// The requested name.
        name: String,
    },
    /// The value does not fit the name.
    #[error("the option `{name}` takes {expected}, not `{value}`")]
    Value {
        /// The option's name.
        name: String,
        /// The given value.
        value: String,
        /// The accepted values.
        expected: &'static str,
    },
}

impl Choice {
    /// All choices, one a line: values (the default first) and their meaning.
    pub const NAMES_HELP: &str = "\
scroll-param=constant|rotating    one scroll_param for the scroll, or one for each page
scroll-slot=shared|own            users, leads and companies share a scroll, or not
scroll-order=oldest|newest|random users by age, or shuffled when the scroll is opened
scroll-overlap=0                  a page begins with so many users of the one before
bulk-charge=after|before|request  items count once the request is in, before, or as one
null-attribute=stored|removed     an attribute set to null is there and null, or gone
job-life-s=SECONDS                a job is forgotten (404) so long after its creation
job-visible-after-s=0             a job cannot be requested (404) until so long after its creation
rate-reset=late|exact             X-RateLimit-Reset is 2 s after the window's end, or the end
rate-remaining=before|after       X-RateLimit-Remaining leaves out its own request, or counts it
names=plain|escaped               names of users and companies are shown as text, or as HTML (O&#39;Neil)";
}

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let (name, value) = (name.trim(), value.trim());
        let wrong = |expected| ChoiceError::Value { name: name.to_owned(), value: value.to_owned(), expected };
        let either = |usual: &str, other: &str, expected| match value {
            value if value == usual => Ok(false),
            value if value == other => Ok(true),
            _ => Err(wrong(expected)),
        };
        Ok(match name {
            "scroll-param" => Self::ScrollParam { rotating: either("constant", "rotating", "constant or rotating")? },
            "scroll-slot" => {
                let own = either("shared", "own", "shared or own")?;
                Self::ScrollSlot(if own { Slot::Own } else { Slot::Shared })
            }
            "scroll-order" => Self::ScrollOrder(match value {
                "oldest" => Order::Oldest,
                "newest" => Order::Newest,
                "random" => Order::Random,
                _ => return Err(wrong("oldest, newest or random")),
            }),
            "scroll-overlap" => {
                let users = value.parse().ok().filter(|users| *users < crate::options::PAGE_SIZE);
                Self::ScrollOverlap(users.ok_or_else(|| wrong("a number of users, fewer than a page has"))?)
            }
            "bulk-charge" => Self::BulkCharge(match value {
                "after" => Charge::After,
                "before" => Charge::Before,
                "request" => Charge::Request,
                _ => return Err(wrong("after, before or request")),
            }),
            "null-attribute" => {
                let removed = either("stored", "removed", "stored or removed")?;
                Self::NullAttribute(if removed { NullAttribute::Removed } else { NullAttribute::Stored })
            }
            "names" => Self::Names { escaped: either("plain", "escaped", "plain or escaped")? },
            "job-life-s" => Self::JobLife(value.parse().map_err(|_| wrong("seconds"))?),
            "job-visible-after-s" => Self::JobVisibleAfter(value.parse().map_err(|_| wrong("seconds"))?),
            "rate-reset" => {
                let exact = either("late", "exact", "late or exact")?;
                Self::RateReset(if exact { RateReset::Exact } else { RateReset::Late })
            }
            "rate-remaining" => {
                let after = either("before", "after", "before or after")?;
                Self::RateRemaining(if after { RateRemaining::After } else { RateRemaining::Before })
            }
            _ => return Err(ChoiceError::Unknown { name: name.to_owned() }),
        })
    }
}

impl Options {
    /// Returns these options with one choice applied.
    #[must_use]
    pub fn with(self, choice: Choice) -> Self {
        match choice {
            Choice::ScrollParam { rotating } => Self { rotating_scroll_param: rotating, ..self },
            Choice::ScrollSlot(scroll_slot) => Self { scroll_slot, ..self },
            Choice::ScrollOrder(order) => Self { scroll_order: order, ..self },
            Choice::ScrollOverlap(users) => Self { scroll_overlap: users, ..self },
            Choice::BulkCharge(charge) => {
                Self { items_counted: charge != Charge::Request, items_first: charge == Charge::Before, ..self }
            }
            Choice::NullAttribute(null_attribute) => Self { null_attribute, ..self },
            Choice::Names { escaped } => Self { quirks: Quirks { escape_names: escaped, ..self.quirks }, ..self },
            Choice::JobLife(life_s) => Self { job_life_s: Some(life_s), ..self },
            Choice::JobVisibleAfter(job_visible_after_s) => Self { job_visible_after_s, ..self },
            Choice::RateReset(rate_reset) => Self { rate_reset, ..self },
            Choice::RateRemaining(rate_remaining) => Self { rate_remaining, ..self },
        }
    }
}

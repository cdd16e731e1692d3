//! What Intercom does not say, by name: each choice is one way in which a workspace may behave.

use std::str::FromStr;

use thiserror::Error;

use crate::described::Quirks;
use crate::options::{NullAttribute, Options, Order, RateRemaining, RateReset, Slot};

/// One choice. Each is read from `name=value`: [`Choice::NAMES_HELP`] lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Whether each page of a scroll has a parameter of its own.
    ScrollParam {
        /// Or the scroll keeps one.
        rotating: bool,
    },
    /// Whether the scrolls of users, leads and companies share the workspace's one place.
    ScrollSlot(Slot),
    /// In which order users are shown.
    ScrollOrder(Order),
    /// How many users of a page are those that the page before ended with.
    ScrollOverlap(usize),
    /// What a bulk request is charged for, and when.
    BulkCharge(Charge),
    /// What a null does to a custom attribute.
    NullAttribute(NullAttribute),
    /// How long a job can be asked for, in seconds.
    JobLife(u64),
    /// How long after its making a job cannot be asked for yet, in seconds.
    JobVisibleAfter(u64),
    /// When the rate headers say that the window is over.
    RateReset(RateReset),
    /// Which requests the rate headers count.
    RateRemaining(RateRemaining),
    /// Whether names of users and companies are shown as HTML.
    Names {
        /// Or as text.
        escaped: bool,
    },
}

/// What a bulk request is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Each item, after the request was let in: the window may be overdrawn.
    After,
    /// Each item, before the request is let in: all must fit the window.
    Before,
    /// The request, whatever it holds.
    Request,
}

/// Why a choice could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChoiceError {
    /// There is no choice of that name.
    #[error("there is no option `{name}`; there are:\n{}", Choice::NAMES_HELP)]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The value does not fit the name.
    #[error("the option `{name}` takes {expected}, not `{value}`")]
    Value {
        /// The option's name.
        name: String,
        /// What was given.
        value: String,
        /// What is taken.
        expected: &'static str,
    },
}

impl Choice {
    /// Every choice, its values (what holds without it comes first) and what they mean, one a line.
    pub const NAMES_HELP: &str = "\
scroll-param=constant|rotating    one scroll_param for the scroll, or one for each page
scroll-slot=shared|own            users, leads and companies share a scroll, or not
scroll-order=oldest|newest|random users by age, or shuffled when the scroll is opened
scroll-overlap=0                  a page begins with so many users of the one before
bulk-charge=after|before|request  items count once the request is in, before, or as one
null-attribute=stored|removed     an attribute set to null is there and null, or gone
job-life-s=SECONDS                a job is forgotten (404) so long after it was made
job-visible-after-s=0             a job cannot be asked for (404) until so long after it was made
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
    /// These options with one choice made.
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

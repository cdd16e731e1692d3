//! Choices for behaviour that Intercom does not document. Each choice is one way to behave.

use std::str::FromStr;

use strum::{EnumString, VariantNames};
use thiserror::Error;

use crate::contacts::ContactOptions;
use crate::described::Quirks;
use crate::options::{NullAttribute, Options, Order, RateRemaining, RateReset, Slot};

/// One choice. It is parsed from `name=value`; [`Choice::NAMES_HELP`] lists all choices.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant says what its field means")]
pub enum Choice {
    /// Each page of a scroll has its own parameter (`rotating`), or the scroll keeps one.
    ScrollParam { rotating: bool },
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
    /// The time for which a read of one user shows the values from before a bulk write, in seconds.
    ReadLag(u64),
    /// The end of the window in the rate headers.
    RateReset(RateReset),
    /// The requests that the rate headers count.
    RateRemaining(RateRemaining),
    /// The names of users and companies are escaped as HTML, or are plain text.
    Names { escaped: bool },
    /// An option of API 2.x; [`ContactOptions::NAMES_HELP`] lists them.
    Contacts { name: String, value: String },
}

/// The operations that a bulk request is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
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
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum ChoiceError {
    #[error("there is no option `{name}`; there are:\n{}\n{}", Choice::NAMES_HELP, ContactOptions::NAMES_HELP)]
    Unknown { name: String },
    #[error("the option `{name}` takes {expected}, not `{value}`")]
    Value { name: String, value: String, expected: String },
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
read-lag-s=0                      a read of one user shows the old values until so long after a bulk write
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
        let seconds = || value.parse().map_err(|_| wrong("seconds".to_owned()));
        Ok(match name {
            "scroll-param" => Self::ScrollParam { rotating: either(value, ["constant", "rotating"]).map_err(wrong)? },
            "scroll-slot" => Self::ScrollSlot(word(value).map_err(wrong)?),
            "scroll-order" => Self::ScrollOrder(word(value).map_err(wrong)?),
            "scroll-overlap" => {
                let users = value.parse().ok().filter(|users| *users < crate::options::PAGE_SIZE);
                Self::ScrollOverlap(users.ok_or_else(|| wrong("a number of users, fewer than a page has".to_owned()))?)
            }
            "bulk-charge" => Self::BulkCharge(word(value).map_err(wrong)?),
            "null-attribute" => Self::NullAttribute(word(value).map_err(wrong)?),
            "names" => Self::Names { escaped: either(value, ["plain", "escaped"]).map_err(wrong)? },
            "job-life-s" => Self::JobLife(seconds()?),
            "job-visible-after-s" => Self::JobVisibleAfter(seconds()?),
            "read-lag-s" => Self::ReadLag(seconds()?),
            "rate-reset" => Self::RateReset(word(value).map_err(wrong)?),
            "rate-remaining" => Self::RateRemaining(word(value).map_err(wrong)?),
            _ => {
                if !ContactOptions::default().set(name, value).map_err(wrong)? {
                    return Err(ChoiceError::Unknown { name: name.to_owned() });
                }
                Self::Contacts { name: name.to_owned(), value: value.to_owned() }
            }
        })
    }
}

/// Parses a word of an enum. The error lists its words.
pub(crate) fn word<T: FromStr + VariantNames>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| one_of(T::VARIANTS))
}

/// Returns whether the value is the second of two words. The error lists both.
pub(crate) fn either(value: &str, words: [&str; 2]) -> Result<bool, String> {
    let index = words.iter().position(|word| *word == value);
    index.map(|index| index == 1).ok_or_else(|| one_of(&words))
}

/// Returns words as a list: `oldest, newest or random`.
fn one_of(words: &[&str]) -> String {
    let (last, first) = words.split_last().unwrap_or((&"", &[]));
    format!("{} or {last}", first.join(", "))
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
            Choice::ReadLag(read_lag_s) => Self { read_lag_s, ..self },
            Choice::RateReset(rate_reset) => Self { rate_reset, ..self },
            Choice::RateRemaining(rate_remaining) => Self { rate_remaining, ..self },
            Choice::Contacts { name, value } => Self { contacts: self.contacts.with(&name, &value), ..self },
        }
    }
}

//! The families of Intercom's API, in the program's own words. Each family is a module of
//! `intercom`; the rest of the program asks its [`Capabilities`].

use serde::{Deserialize, Serialize};

use crate::domain::job::JobId;
use crate::domain::patch::Target;

mod choice;
mod setting;
mod version;
mod way;

pub use choice::{ApiAnswer, ApiChoice, ApiDecision, ApiQuestion, ApiRefusal, Denial, LastApi, ServedBy, decide_api};
pub use setting::ApiSetting;
pub use version::{ApiVersion, ApiVersionError};
pub use way::Way;

/// A family of Intercom's API. A run stores the one that it began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// The versions 1.0 to 1.4.
    #[default]
    V1,
    /// The versions 2.0 to 2.17.
    V2,
    /// Preview, the version with Intercom's latest changes: the contacts of 2.x, and bulk jobs.
    Preview,
}

/// The differences between the families that matter outside `intercom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The most users of a page.
    pub page_users_max: u32,
    /// The most users of one part, which are written together: by one request, or by one each.
    pub write_users_max: usize,
    /// The way in which all users of the workspace are read.
    pub reading: Reading,
    /// The way in which values are written.
    pub write: Writing,
    /// Intercom does not document what a bulk request costs of the rate limit; a setting says it.
    /// Otherwise each of its users costs an operation.
    pub bulk_charge_is_set: bool,
    /// A custom attribute must exist before it is written. Otherwise a write creates it.
    pub attributes_must_exist: bool,
    /// Seconds after which the list of all users shows a write; 0 if it shows it at once. A read by id
    /// always shows it.
    pub list_lag_s: u32,
}

/// The way in which pages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Intercom keeps the position and sends each page once. A workspace has one such reading at a
    /// time.
    Exclusive {
        /// Seconds after its last page at which Intercom forgets the reading.
        life_s: u32,
    },
    /// Each page can be requested again.
    Repeatable,
}

/// The way in which values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// As bulk jobs, which Intercom carries out later.
    Jobs {
        /// Seconds after its creation at which a job writes no more values.
        life_s: u32,
    },
    /// One request for each user, whose answer is the result.
    Answers,
    /// Either way. A bulk job does not say which of its users were refused.
    JobsOrAnswers {
        /// Seconds after its creation at which a job writes no more values.
        life_s: u32,
    },
}

impl Writing {
    /// Returns whether Intercom accepts writes before it carries them out, as bulk jobs.
    pub const fn has_jobs(self) -> bool {
        !matches!(self, Self::Answers)
    }

    /// Returns whether a bulk job says which of its users were refused, and why.
    pub const fn names_refused(self) -> bool {
        matches!(self, Self::Jobs { .. })
    }
}

/// The operations of the rate limit that a bulk request costs, where Intercom does not document it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum BulkCharge {
    /// One for each of its users.
    #[default]
    Item,
    /// One.
    Request,
}

/// Margin for differences between clocks, in seconds, that is added to the life of an exclusive
/// reading.
pub const CLOCKS_MARGIN_S: u32 = 5;

/// The most users of one write of any family. Messages do not name their family.
pub const WRITE_USERS_MAX: usize = Api::V1.capabilities().write_users_max;

impl Api {
    /// All families.
    pub const ALL: [Self; 3] = [Self::V1, Self::V2, Self::Preview];

    /// Returns what this family can do.
    ///
    /// V1: the program of 2016, three clients, and the error text of today's endpoint agree on 100
    /// users per bulk request. The documentation gives 100 users per page, and a minute to an unused
    /// reading.
    /// A job is closed 15 minutes after its creation (`closing_at`).
    ///
    /// V2: the specification gives 150 contacts per page. A part has as many users as on V1. A list comes
    /// from a search index. Recordings show no write after 3 s, and all after 120 s; other programs wait
    /// for three minutes.
    ///
    /// Preview: as V2, with at most 100 contacts per bulk request. The life of a job is not
    /// documented; that of V1 is assumed.
    pub const fn capabilities(self) -> Capabilities {
        match self {
            Self::V1 => Capabilities {
                page_users_max: 100,
                write_users_max: 100,
                reading: Reading::Exclusive { life_s: 60 },
                write: Writing::Jobs { life_s: 900 },
                bulk_charge_is_set: false,
                attributes_must_exist: false,
                list_lag_s: 0,
            },
            Self::V2 => Capabilities {
                page_users_max: 150,
                write_users_max: 100,
                reading: Reading::Repeatable,
                write: Writing::Answers,
                bulk_charge_is_set: false,
                attributes_must_exist: true,
                list_lag_s: 180,
            },
            Self::Preview => Capabilities {
                write: Writing::JobsOrAnswers { life_s: 900 },
                bulk_charge_is_set: true,
                ..Self::V2.capabilities()
            },
        }
    }
}

/// Intercom's answer to a write of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The targets whose values in the answer differ from those that were sent.
    pub not_kept: Vec<Target>,
    /// The answer shows another contact, which may have the values now.
    pub is_other: bool,
}

/// Intercom's answer to a write that it accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// A bulk job, to be polled.
    Job {
        /// The job's id.
        id: JobId,
        /// Creation time in Unix seconds by Intercom's clock, if reported.
        created_at_s: Option<i64>,
    },
}

/// The state of a bulk job, as far as its items are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Items may still be carried out.
    Open,
    /// The tasks have ended without errors, and the job has not said how it ended.
    TasksEnded,
    /// Every item was carried out.
    Completed,
    /// The job has ended, and items failed.
    CompletedWithErrors,
}

/// The possible reaction to a page whose request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFailure {
    /// The request was not carried out: repeat it later.
    Repeat {
        /// True if Intercom answered; otherwise the request was not sent.
        answered: bool,
    },
    /// Intercom may have carried the request out. With exclusive reading the page may be consumed.
    MaybeConsumed,
    /// The position is not valid any more: begin with the first page.
    Expired,
    /// Another reading of the workspace is open: wait until it expires.
    Busy,
    /// The request was not carried out because of the rate limit: repeat it later.
    RateLimited,
    /// Every such request will fail: the run cannot continue.
    Fatal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_as_documented() {
        for api in Api::ALL {
            let (name, page_users_max, write_users_max, reading, write) = match api {
                Api::V1 => ("v1", 100, 100, Reading::Exclusive { life_s: 60 }, Writing::Jobs { life_s: 900 }),
                Api::V2 => ("v2", 150, 100, Reading::Repeatable, Writing::Answers),
                Api::Preview => ("preview", 150, 100, Reading::Repeatable, Writing::JobsOrAnswers { life_s: 900 }),
            };
            let (bulk_charge_is_set, attributes_must_exist) = (api == Api::Preview, api != Api::V1);
            let list_lag_s = if api == Api::V1 { 0 } else { 180 };
            let expected = Capabilities {
                page_users_max,
                write_users_max,
                reading,
                write,
                bulk_charge_is_set,
                attributes_must_exist,
                list_lag_s,
            };
            assert_eq!(api.capabilities(), expected, "{api:?}");
            assert_eq!(serde_json::to_value(api).unwrap(), name);
        }
    }

    #[test]
    fn each_family_writes_at_most_as_many_users_as_a_message_may_hold() {
        let most = Api::ALL.into_iter().map(|api| api.capabilities().write_users_max).max();
        assert_eq!(most, Some(WRITE_USERS_MAX));
    }
}

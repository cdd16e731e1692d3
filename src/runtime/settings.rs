//! Declares every setting once: its name, default, range and one line of help.
//!
//! `config` reads the settings, the command derives its flags from them, and `tests/tidy` compares
//! them with docs/settings.md and template.yaml.

use std::fmt;

use crate::domain::api::ApiSetting;
use crate::domain::bucket::Width;

/// A variable of the environment that a function or the command reads.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// The command's flag, if the command also takes the setting on its command line.
    pub flag: Option<&'static str>,
    /// The value if the variable is not set.
    pub default: Option<&'static str>,
    /// The accepted values.
    pub range: Range,
    /// Its meaning in one line, as a phrase without a full stop.
    pub help: &'static str,
}

/// The values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Any text.
    Any,
    /// A text that its own type parses (`BaseUrl`, `ApiSetting`), with the accepted values in
    /// words.
    Words(&'static str),
    /// Whole numbers from `min` to `max`.
    Whole {
        /// The unit of the numbers.
        unit: &'static str,
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// Minutes that divide an hour.
    DivisorOfAnHour,
}

impl Setting {
    /// Returns a setting without a default that only the functions read.
    const fn of_functions(name: &'static str, help: &'static str) -> Self {
        Self { name, flag: None, default: None, range: Range::Any, help }
    }

    /// Returns the value that is set, or the default.
    pub fn get(&self, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
        environment(self.name).or_else(|| self.default.map(ToOwned::to_owned))
    }
}

impl Range {
    /// Returns the numbers in the range, or no numbers for a text.
    pub fn numbers(self) -> Vec<u32> {
        match self {
            Self::Any | Self::Words(_) => Vec::new(),
            Self::Whole { min, max, .. } => (min..=max).collect(),
            Self::DivisorOfAnHour => (1..=60).filter(|minutes| Width::from_minutes(*minutes).is_some()).collect(),
        }
    }

    /// Returns whether the range contains a number.
    pub fn holds(self, number: u32) -> bool {
        match self {
            Self::Any | Self::Words(_) => false,
            Self::Whole { min, max, .. } => (min..=max).contains(&number),
            Self::DivisorOfAnHour => Width::from_minutes(number).is_some(),
        }
    }
}

/// The range in words, for errors and help.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any text"),
            Self::Words(words) => f.write_str(words),
            Self::Whole { unit, min, max } => write!(f, "{unit} from {min} to {max}"),
            Self::DivisorOfAnHour => {
                let minutes: Vec<String> = self.numbers().iter().map(ToString::to_string).collect();
                write!(f, "minutes that divide an hour: {}", minutes.join(", "))
            }
        }
    }
}

/// The access token.
pub const TOKEN: Setting = Setting {
    name: "INTERCOM_TOKEN",
    flag: Some("intercom-token"),
    default: None,
    range: Range::Any,
    help: "access token of your Intercom app (Developer Hub → your app → Authentication); set the variable rather than the \
           flag, which other users of the machine can see",
};

/// The parameter of the access token.
pub const TOKEN_PARAMETER: Setting = Setting::of_functions(
    "INTERCOM_TOKEN_PARAMETER",
    "name of the SSM SecureString that holds the token (functions only)",
);

/// The address of the API.
pub const BASE_URL: Setting = Setting {
    name: "INTERCOM_BASE_URL",
    flag: Some("intercom-base-url"),
    default: Some("https://api.intercom.io"),
    range: Range::Words(
        "https://api.intercom.io, https://api.eu.intercom.io, https://api.au.intercom.io, or a loopback address with a port",
    ),
    help: "address of Intercom's API; HTTPS_PROXY is not used",
};

/// The version of the API.
pub const API: Setting = Setting {
    name: "INTERCOM_API",
    flag: Some("intercom-api"),
    default: Some(ApiSetting::AUTO),
    range: Range::Words(ApiSetting::WORDS),
    help: "version of the API for runs that begin; auto chooses by the plan's last run and by what the workspace has",
};

/// The share of the rate limit.
pub const QUOTA_PERCENT: Setting = Setting {
    name: "INTERCOM_QUOTA_PERCENT",
    flag: Some("intercom-quota-percent"),
    default: Some("80"),
    range: Range::Whole { unit: "a whole number", min: 1, max: 100 },
    help: "share of the workspace's rate limit to use, in percent; other integrations share the limit",
};

/// The cost of a bulk request of Preview.
pub const BULK_CHARGE: Setting = Setting {
    name: "INTERCOM_BULK_CHARGE",
    flag: Some("intercom-bulk-charge"),
    default: Some("item"),
    range: Range::Words("item or request"),
    help: "cost of a bulk request of Preview: one operation of the rate limit for each of its users, or one",
};

/// The time-out of a page.
pub const PAGE_TIMEOUT_S: Setting = Setting {
    name: "INTERCOM_PAGE_TIMEOUT_S",
    flag: Some("intercom-page-timeout-s"),
    default: Some("15"),
    range: Range::Whole { unit: "seconds", min: 5, max: 50 },
    help: "time-out of a page, in seconds; raise it for a workspace whose pages are slow",
};

/// The time after which an unused scroll expires: Intercom's minute plus a margin for clock skew.
pub const SCROLL_LIFE_S: Setting = Setting {
    name: "INTERCOM_SCROLL_LIFE_S",
    flag: Some("intercom-scroll-life-s"),
    default: Some("65"),
    range: Range::Whole { unit: "seconds", min: 1, max: 600 },
    help: "seconds after which an unused scroll expires",
};

/// The time after which a bulk job writes no more values. Intercom closes a job 15 minutes after
/// its creation (`closing_at`).
pub const JOB_LIFE_S: Setting = Setting {
    name: "INTERCOM_JOB_LIFE_S",
    flag: Some("intercom-job-life-s"),
    default: Some("900"),
    range: Range::Whole { unit: "seconds", min: 1, max: 3_600 },
    help: "seconds after which a bulk job writes no more values",
};

/// The wait before a written value that differs is read a second time: an answer may lag behind a
/// write by minutes.
pub const READ_AGAIN_S: Setting = Setting {
    name: "INTERCOM_READ_AGAIN_S",
    flag: Some("intercom-read-again-s"),
    default: Some("180"),
    range: Range::Whole { unit: "seconds", min: 1, max: 3_600 },
    help: "seconds after which a written value that differs is read a second time",
};

/// The width of a bucket.
pub const BUCKET_MINUTES: Setting = Setting {
    name: "BUCKET_MINUTES",
    flag: Some("bucket-minutes"),
    default: Some("1"),
    range: Range::DivisorOfAnHour,
    help: "width of the buckets that group job ids, in minutes",
};

/// The ledger's table.
pub const LEDGER_TABLE: Setting = Setting::of_functions("LEDGER_TABLE", "DynamoDB table of the ledger");

/// The queue whose messages invoke scroll.
pub const PAGES_QUEUE_URL: Setting =
    Setting::of_functions("PAGES_QUEUE_URL", "the pages queue, which carries a run's turns");

/// The dead-letter queue of the pages queue.
pub const PAGES_DEAD_LETTERS_URL: Setting =
    Setting::of_functions("PAGES_DEAD_LETTERS_URL", "dead-letter queue for unreadable messages of the pages queue");

/// The queue whose messages invoke submit.
pub const PATCHES_QUEUE_URL: Setting =
    Setting::of_functions("PATCHES_QUEUE_URL", "the patches queue, which carries patches to submit");

/// The dead-letter queue of the patches queue.
pub const PATCHES_DEAD_LETTERS_URL: Setting =
    Setting::of_functions("PATCHES_DEAD_LETTERS_URL", "dead-letter queue for unreadable messages of the patches queue");

/// The dimension of the metrics. CloudWatch requires a non-empty value, hence the default.
pub const STACK_NAME: Setting =
    Setting { default: Some("-"), ..Setting::of_functions("STACK_NAME", "dimension `Stack` of the metrics") };

/// The event bus for the ends and pauses of runs.
pub const EVENT_BUS: Setting = Setting {
    default: Some("none"),
    ..Setting::of_functions("EVENT_BUS", "EventBridge bus for an event when a run ends or pauses; none: no events")
};

/// Switches connecting during a function's start on or off.
pub const WARM_CONNECTIONS: Setting = Setting {
    default: Some("on"),
    range: Range::Words("on or off"),
    ..Setting::of_functions("WARM_CONNECTIONS", "`off`: connect at the first call instead of while the function starts")
};

/// All settings, in the order of docs/settings.md.
pub const SETTINGS: [Setting; 19] = [
    TOKEN,
    TOKEN_PARAMETER,
    BASE_URL,
    API,
    QUOTA_PERCENT,
    BULK_CHARGE,
    PAGE_TIMEOUT_S,
    SCROLL_LIFE_S,
    JOB_LIFE_S,
    READ_AGAIN_S,
    BUCKET_MINUTES,
    LEDGER_TABLE,
    PAGES_QUEUE_URL,
    PAGES_DEAD_LETTERS_URL,
    PATCHES_QUEUE_URL,
    PATCHES_DEAD_LETTERS_URL,
    STACK_NAME,
    EVENT_BUS,
    WARM_CONNECTIONS,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::api::{Api, Writing};
    use crate::domain::run::EXCLUSIVE_LIFE_MS;
    use crate::intercom::BaseUrl;

    #[test]
    fn each_default_is_in_its_range() {
        for setting in &SETTINGS {
            let numbers = setting.range.numbers();
            let Some(default) = setting.default.filter(|_| !numbers.is_empty()) else { continue };
            let number = default.parse().unwrap();
            assert!(setting.range.holds(number) && numbers.contains(&number), "{}", setting.name);
            assert!(
                !setting.range.holds(0) && !setting.range.holds(numbers[numbers.len() - 1] + 1),
                "{}",
                setting.name
            );
        }
    }

    #[test]
    fn lives_are_those_of_the_api() {
        let default_s = |setting: Setting| setting.default.unwrap().parse::<u32>().unwrap();
        assert_eq!(i64::from(default_s(SCROLL_LIFE_S)) * 1000, EXCLUSIVE_LIFE_MS);
        let Writing::Jobs { life_s } = Api::V1.capabilities().write else { panic!("V1 writes jobs") };
        assert_eq!(default_s(JOB_LIFE_S), life_s);
    }

    #[test]
    fn words_of_a_range_are_values_of_its_type() {
        let words = |setting: Setting| setting.range.to_string();
        let hosts = words(BASE_URL);
        let hosts: Vec<&str> = hosts.split(", ").filter(|word| word.starts_with("https://")).collect();
        assert!(hosts.len() == 3 && hosts.contains(&BASE_URL.default.unwrap()));
        assert!(hosts.iter().all(|host| BaseUrl::parse(host).is_ok()));
        let versions = words(API).replace(", or ", " to ").replace(", ", " to ");
        let versions: Vec<&str> = versions.split(" to ").collect();
        assert!(versions.len() == 6 && versions.iter().all(|version| ApiSetting::parse(version).is_ok()));
        assert_eq!(API.default, Some(versions[0]));
        assert_eq!(BUCKET_MINUTES.range.to_string().matches(", ").count(), 11);
    }
}

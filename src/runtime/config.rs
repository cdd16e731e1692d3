//! Reads the settings from the environment at start-up. `settings` declares them.

use std::time::Duration;

use crate::domain::api::{ApiSetting, ApiVersionError, BulkCharge};
use crate::domain::bucket::Width;
use crate::domain::run::{LATE_MS, REQUEST_MOST_MS, SettleTimes};
use crate::intercom::{BaseUrl, BaseUrlError, TokenError};
use crate::queue::QueueUrls;
use crate::runtime::settings::{
    API, BASE_URL, BUCKET_MINUTES, BULK_CHARGE, EVENT_BUS, JOB_LIFE_S, LEDGER_TABLE, PAGE_TIMEOUT_S,
    PAGES_DEAD_LETTERS_URL, PAGES_QUEUE_URL, PATCHES_DEAD_LETTERS_URL, PATCHES_QUEUE_URL, QUOTA_PERCENT, READ_AGAIN_S,
    SCROLL_LIFE_S, STACK_NAME, Setting, TOKEN, TOKEN_PARAMETER,
};
use crate::runtime::token::TokenFrom;

/// A missing or invalid setting. The text names the setting and the values that it takes, never a
/// secret.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum ConfigError {
    #[error("{} is not set: {}", .0.name, .0.help)]
    Missing(&'static Setting),
    #[error("{} is \"{value}\": {}", .setting.name, .setting.range)]
    Value { setting: &'static Setting, value: String },
    #[error(
        "{} is not set: {}. On AWS, {} names the parameter that holds the token",
        TOKEN.name,
        TOKEN.help,
        TOKEN_PARAMETER.name
    )]
    NoToken,
    #[error(
        "INTERCOM_TOKEN and INTERCOM_TOKEN_PARAMETER are both set: on AWS, set only the parameter; elsewhere, only the token"
    )]
    TwoTokens,
    #[error("INTERCOM_TOKEN_PARAMETER is for the functions on AWS: set INTERCOM_TOKEN instead")]
    NotHere,
    #[error("INTERCOM_TOKEN cannot be used: {0}")]
    Token(#[from] TokenError),
    #[error("INTERCOM_BASE_URL cannot be used: {0}")]
    BaseUrl(#[from] BaseUrlError),
    #[error("INTERCOM_API cannot be used: {0}, or auto")]
    Api(#[from] ApiVersionError),
}

/// The settings of the connection to the workspace.
#[derive(Clone, Debug)]
pub struct WorkspaceSettings {
    /// `INTERCOM_TOKEN` or `INTERCOM_TOKEN_PARAMETER`.
    pub token: TokenFrom,
    /// `INTERCOM_BASE_URL`.
    pub base_url: BaseUrl,
    /// `INTERCOM_API`.
    pub api: ApiSetting,
}

/// The functions' table and queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `LEDGER_TABLE`.
    pub table: String,
    /// `PAGES_QUEUE_URL` and `PAGES_DEAD_LETTERS_URL`.
    pub pages: QueueUrls,
    /// `PATCHES_QUEUE_URL` and `PATCHES_DEAD_LETTERS_URL`.
    pub patches: QueueUrls,
    /// `EVENT_BUS`, unless it is `none`.
    pub event_bus: Option<String>,
    /// `STACK_NAME`.
    pub stack: String,
}

/// The settings of the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `BUCKET_MINUTES`: the width of a bucket.
    pub bucket: Width,
    /// `INTERCOM_QUOTA_PERCENT`: the share of the workspace's rate limit to use.
    pub quota_percent: u32,
    /// `INTERCOM_BULK_CHARGE`: the cost of a bulk request of Preview.
    pub bulk_charge: BulkCharge,
    /// `INTERCOM_PAGE_TIMEOUT_S`: the time-out of a page.
    pub page_timeout: Duration,
    /// `INTERCOM_SCROLL_LIFE_S`: the time after which an unused scroll has expired.
    pub scroll_life_ms: i64,
    /// `INTERCOM_JOB_LIFE_S`: the time after which a bulk job without a known id writes no more
    /// values.
    pub job_life_ms: i64,
    /// `INTERCOM_READ_AGAIN_S`: the wait before a written value that differs is read again.
    pub read_again_ms: i64,
    /// The intervals between polls.
    pub pace: Pace,
}

/// The intervals between polls, in milliseconds. A poll costs money on AWS but not on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between polls of a generation's unfinished parts.
    pub settle_ms: i64,
    /// From a job's creation to its first poll, and between checks for closed jobs.
    pub look_first_ms: i64,
    /// The longest time between two polls of a job.
    pub look_most_ms: i64,
    /// The delay after which an overdue turn counts as stuck.
    pub stuck_ms: i64,
}

impl Pace {
    /// The intervals on AWS.
    pub const CLOUD: Self = Self { settle_ms: 20_000, look_first_ms: 60_000, look_most_ms: 300_000, stuck_ms: 90_000 };
    /// The intervals on one machine.
    pub const LOCAL: Self = Self { settle_ms: 1_000, look_first_ms: 2_500, look_most_ms: 10_000, stuck_ms: 90_000 };
}

/// The time that an invocation of scroll has in addition to the page's time-out.
const SCROLL_ROOM: Duration = Duration::from_secs(10);
const _: () = assert!(crate::aws::CALL.as_millis() < SCROLL_ROOM.as_millis(), "a call of AWS fits beside a page");

impl Settings {
    /// Returns the time-out of an invocation of scroll: the page's time-out plus `SCROLL_ROOM`.
    pub fn scroll_timeout(&self) -> Duration {
        self.page_timeout + SCROLL_ROOM
    }

    /// Returns the duration of a turn's lease, in milliseconds: 10 s longer than its owner can run.
    pub fn lease_ms(&self) -> i64 {
        (self.scroll_timeout() + Duration::from_secs(10)).as_millis() as i64
    }

    /// Returns the visibility timeout of the pages queue: longer than the function's time-out, and
    /// short enough that the next delivery arrives before the scroll expires (1 minute).
    pub fn pages_visibility(&self) -> Duration {
        self.scroll_timeout() + Duration::from_secs(5)
    }

    /// Returns the time after which Intercom carries out no request that its sender gave up, in
    /// milliseconds: a minute, or the life of a job where that is shorter.
    fn late_ms(&self) -> i64 {
        LATE_MS.min(self.job_life_ms)
    }

    /// Returns the longest time after a request with an unknown outcome was sent at which its job
    /// sets values, in milliseconds.
    pub fn unknown_life_ms(&self) -> i64 {
        self.late_ms() + self.job_life_ms
    }

    /// Returns the times that decide when an ended run is settled.
    pub fn settle_times(&self) -> SettleTimes {
        SettleTimes {
            request_ms: REQUEST_MOST_MS + self.late_ms(),
            unknown_life_ms: self.unknown_life_ms(),
            look_first_ms: self.pace.look_first_ms,
            look_most_ms: self.pace.look_most_ms,
        }
    }

    /// Reads the settings that have defaults.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let bucket = number(&get, &BUCKET_MINUTES)?;
        Ok(Self {
            bucket: Width::from_minutes(bucket)
                .ok_or_else(|| ConfigError::Value { setting: &BUCKET_MINUTES, value: bucket.to_string() })?,
            quota_percent: number(&get, &QUOTA_PERCENT)?,
            bulk_charge: bulk_charge(&get)?,
            page_timeout: Duration::from_secs(number(&get, &PAGE_TIMEOUT_S)?.into()),
            scroll_life_ms: i64::from(number(&get, &SCROLL_LIFE_S)?) * 1000,
            job_life_ms: i64::from(number(&get, &JOB_LIFE_S)?) * 1000,
            read_again_ms: i64::from(number(&get, &READ_AGAIN_S)?) * 1000,
            pace: Pace::CLOUD,
        })
    }
}

impl WorkspaceSettings {
    /// Reads the settings of the connection to the workspace.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let token = TokenFrom::read(&get)?;
        let base_url = BaseUrl::parse(&required(&get, &BASE_URL)?)?;
        let api = ApiSetting::parse(&required(&get, &API)?)?;
        Ok(Self { token, base_url, api })
    }
}

impl Places {
    /// Reads the names that the template sets for the functions.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            table: required(&get, &LEDGER_TABLE)?,
            pages: QueueUrls {
                url: required(&get, &PAGES_QUEUE_URL)?,
                dead_letters: required(&get, &PAGES_DEAD_LETTERS_URL)?,
            },
            patches: QueueUrls {
                url: required(&get, &PATCHES_QUEUE_URL)?,
                dead_letters: required(&get, &PATCHES_DEAD_LETTERS_URL)?,
            },
            event_bus: EVENT_BUS.get(&get).filter(|name| Some(name.as_str()) != EVENT_BUS.default),
            stack: required(&get, &STACK_NAME)?,
        })
    }
}

/// Returns a variable of the process's environment. An empty variable counts as not set.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(get: impl Fn(&str) -> Option<String>, setting: &'static Setting) -> Result<String, ConfigError> {
    setting.get(get).ok_or(ConfigError::Missing(setting))
}

fn bulk_charge(get: impl Fn(&str) -> Option<String>) -> Result<BulkCharge, ConfigError> {
    let value = required(get, &BULK_CHARGE)?;
    value.trim().parse().map_err(|_| ConfigError::Value { setting: &BULK_CHARGE, value })
}

fn number(get: impl Fn(&str) -> Option<String>, setting: &'static Setting) -> Result<u32, ConfigError> {
    let value = required(get, setting)?;
    let number = value.trim().parse().ok().filter(|number| setting.range.holds(*number));
    number.ok_or(ConfigError::Value { setting, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_setting_is_named_with_its_meaning() {
        let error = Places::read(|_| None).unwrap_err().to_string();
        assert!(error.contains("LEDGER_TABLE") && error.contains("DynamoDB"), "{error}");
        assert!(WorkspaceSettings::read(|_| None).unwrap_err().to_string().contains("Developer Hub"));
    }

    #[test]
    fn invalid_setting_error_shows_the_range() {
        for (name, value) in
            [("BUCKET_MINUTES", "7"), ("INTERCOM_QUOTA_PERCENT", "0"), ("INTERCOM_PAGE_TIMEOUT_S", "x")]
        {
            let error = Settings::read(|asked| (asked == name).then(|| value.to_owned())).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is \"{value}\": ")), "{error}");
        }
        let error = Settings::read(|asked| (asked == "INTERCOM_JOB_LIFE_S").then(|| "3601".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "INTERCOM_JOB_LIFE_S is \"3601\": seconds from 1 to 3600");
    }

    #[test]
    fn time_outs_are_ordered() {
        let settings = Settings::read(|_| None).unwrap();
        assert!(settings.page_timeout < settings.scroll_timeout());
        assert!(settings.scroll_timeout() < settings.pages_visibility());
        assert!(settings.lease_ms() > settings.scroll_timeout().as_millis() as i64);
        // A redelivered message arrives before the scroll expires.
        assert!(settings.pages_visibility() < Duration::from_mins(1));
    }
}

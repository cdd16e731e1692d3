//! Settings, read once from the environment. The same names stand in the README and the template.

use std::time::Duration;

use crate::domain::bucket::Width;
use crate::intercom::{ApiVersion, ApiVersionError, BaseUrl, BaseUrlError, Token, TokenError};
use crate::queue::QueueUrls;

/// A setting that is missing or cannot be read. It names the setting and what to write, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not set.
    #[error("{name} is not set: {meaning}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it is for.
        meaning: &'static str,
    },
    /// Not one of the values it takes.
    #[error("{name} is \"{value}\": {takes}")]
    Value {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it takes.
        takes: &'static str,
    },
    /// Two places to take the token from.
    #[error(
        "INTERCOM_TOKEN and INTERCOM_TOKEN_PARAMETER are both set: keep the parameter on AWS, the token anywhere else"
    )]
    TwoTokens,
    /// A parameter, where only a token is taken.
    #[error("INTERCOM_TOKEN_PARAMETER is for the functions on AWS: here, set INTERCOM_TOKEN")]
    NotHere,
    /// A token that cannot be one.
    #[error("INTERCOM_TOKEN cannot be used: {0}")]
    Token(#[from] TokenError),
    /// An address that is not Intercom's.
    #[error("INTERCOM_BASE_URL cannot be used: {0}")]
    BaseUrl(#[from] BaseUrlError),
    /// An API generation that there is no door for.
    #[error("INTERCOM_API cannot be used: {0}")]
    Api(#[from] ApiVersionError),
}

/// How to reach the workspace.
#[derive(Clone, Debug)]
pub struct WorkspaceSettings {
    /// `INTERCOM_TOKEN` or `INTERCOM_TOKEN_PARAMETER`.
    pub token: TokenFrom,
    /// `INTERCOM_BASE_URL`, Intercom's first host by default.
    pub base_url: BaseUrl,
    /// `INTERCOM_API`, 1.4 by default.
    pub api: ApiVersion,
}

/// Where the access token is.
#[derive(Clone, Debug)]
pub enum TokenFrom {
    /// In the environment.
    Here(Token),
    /// In the parameter of this name.
    Parameter(String),
}

/// Where the functions keep and send things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `LEDGER_TABLE`.
    pub table: String,
    /// `PAGES_QUEUE_URL` and `PAGES_DEAD_LETTERS_URL`.
    pub pages: QueueUrls,
    /// `PATCHES_QUEUE_URL` and `PATCHES_DEAD_LETTERS_URL`.
    pub patches: QueueUrls,
}

/// How the steps go about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `BUCKET_MINUTES`: the width of a bucket, 1 by default.
    pub bucket: Width,
    /// `INTERCOM_QUOTA_PERCENT`: how much of the workspace's limit is ours, 80 by default: others share it.
    pub quota_percent: u32,
    /// `INTERCOM_PAGE_TIMEOUT_S`: how long a page is waited for, 15 by default, 50 at most.
    pub page_timeout: Duration,
    /// `INTERCOM_SCROLL_LIFE_S`: how long an unused scroll is waited for to expire, 65 by default: Intercom's minute and
    /// a margin for the clocks.
    pub scroll_life_ms: i64,
    /// `INTERCOM_JOB_LIFE_S`: how long a job may still set values, 900 by default: Intercom closes a job 15 minutes after
    /// it was made (`closing_at`).
    pub job_life_ms: i64,
    /// How often things are looked at.
    pub pace: Pace,
}

/// How often the steps look at what they wait for, in milliseconds. On AWS a look costs; on one machine it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between looks at the parts that a generation has under way.
    pub settle_ms: i64,
    /// From a job's making to the first look at it, and between looks whether jobs were closed.
    pub look_first_ms: i64,
    /// The longest time between two looks at a job.
    pub look_most_ms: i64,
    /// How long after its time a turn counts as stuck.
    pub stuck_ms: i64,
}

impl Pace {
    /// On AWS.
    pub const CLOUD: Self = Self { settle_ms: 20_000, look_first_ms: 60_000, look_most_ms: 300_000, stuck_ms: 90_000 };
    /// On one machine.
    pub const LOCAL: Self = Self { settle_ms: 1_000, look_first_ms: 2_500, look_most_ms: 10_000, stuck_ms: 90_000 };
}

/// What an invocation of scroll has beside the page that it waits for.
const SCROLL_ROOM: Duration = Duration::from_secs(10);
const _: () = assert!(crate::aws::CALL.as_millis() < SCROLL_ROOM.as_millis(), "a call of AWS fits beside a page");

impl Settings {
    /// How long an invocation of scroll may last: a page, and room around it.
    pub fn scroll_timeout(&self) -> Duration {
        self.page_timeout + SCROLL_ROOM
    }

    /// How long a lease of a turn is believed: 10 s longer than its owner can live.
    pub fn lease_ms(&self) -> i64 {
        (self.scroll_timeout() + Duration::from_secs(10)).as_millis() as i64
    }

    /// How long a message of the pages queue stays hidden: longer than the function's time-out, and short enough that
    /// its next delivery still meets the scroll's minute.
    pub fn pages_visibility(&self) -> Duration {
        self.scroll_timeout() + Duration::from_secs(5)
    }

    /// Reads the settings that have defaults.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let bucket =
            number(&get, "BUCKET_MINUTES", "minutes that divide an hour: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60")?;
        let percent = number(&get, "INTERCOM_QUOTA_PERCENT", "a whole number from 1 to 100")?;
        let page = number(&get, "INTERCOM_PAGE_TIMEOUT_S", "seconds from 5 to 50")?;
        let life = number(&get, "INTERCOM_SCROLL_LIFE_S", "seconds from 1 to 600")?.unwrap_or(65);
        let job_life = number(&get, "INTERCOM_JOB_LIFE_S", "seconds from 1 to 3600")?.unwrap_or(900);
        let checked = |name, value: u32, good: bool, takes| {
            if good { Ok(value) } else { Err(ConfigError::Value { name, value: value.to_string(), takes }) }
        };
        let width = Width::from_minutes(bucket.unwrap_or(1));
        let percent = percent.unwrap_or(80);
        let page = page.unwrap_or(15);
        Ok(Self {
            bucket: width.ok_or_else(|| ConfigError::Value {
                name: "BUCKET_MINUTES",
                value: bucket.unwrap_or(1).to_string(),
                takes: "minutes that divide an hour: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60",
            })?,
            quota_percent: checked(
                "INTERCOM_QUOTA_PERCENT",
                percent,
                (1..=100).contains(&percent),
                "a whole number from 1 to 100",
            )?,
            page_timeout: Duration::from_secs(
                checked("INTERCOM_PAGE_TIMEOUT_S", page, (5..=50).contains(&page), "seconds from 5 to 50")?.into(),
            ),
            scroll_life_ms: i64::from(checked(
                "INTERCOM_SCROLL_LIFE_S",
                life,
                (1..=600).contains(&life),
                "seconds from 1 to 600",
            )?) * 1000,
            job_life_ms: i64::from(checked(
                "INTERCOM_JOB_LIFE_S",
                job_life,
                (1..=3600).contains(&job_life),
                "seconds from 1 to 3600",
            )?) * 1000,
            pace: Pace::CLOUD,
        })
    }
}

impl WorkspaceSettings {
    /// Reads how to reach the workspace.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let meaning = "the access token of your Intercom app (Developer Hub → your app → Authentication), or on AWS \
                       INTERCOM_TOKEN_PARAMETER, the parameter that holds it";
        let token = match (get("INTERCOM_TOKEN"), get("INTERCOM_TOKEN_PARAMETER")) {
            (Some(_), Some(_)) => return Err(ConfigError::TwoTokens),
            (Some(token), None) => TokenFrom::Here(Token::new(token)?),
            (None, Some(name)) => TokenFrom::Parameter(name),
            (None, None) => return Err(ConfigError::Missing { name: "INTERCOM_TOKEN", meaning }),
        };
        let base_url = get("INTERCOM_BASE_URL").map(|text| BaseUrl::parse(&text)).transpose()?;
        let api = ApiVersion::parse(&get("INTERCOM_API").unwrap_or_else(|| "1.4".to_owned()))?;
        Ok(Self { token, base_url: base_url.unwrap_or_default(), api })
    }

    /// The token itself, for programs that do not ask Parameter Store.
    pub fn token(&self) -> Result<Token, ConfigError> {
        match &self.token {
            TokenFrom::Here(token) => Ok(token.clone()),
            TokenFrom::Parameter(_) => Err(ConfigError::NotHere),
        }
    }
}

impl Places {
    /// Reads the names that the template gives the functions.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let required = |name, meaning| get(name).ok_or(ConfigError::Missing { name, meaning });
        Ok(Self {
            table: required("LEDGER_TABLE", "the DynamoDB table of the ledger")?,
            pages: QueueUrls {
                url: required("PAGES_QUEUE_URL", "the queue that carries a run's turns")?,
                dead_letters: required("PAGES_DEAD_LETTERS_URL", "where its unreadable messages go")?,
            },
            patches: QueueUrls {
                url: required("PATCHES_QUEUE_URL", "the queue that carries patches")?,
                dead_letters: required("PATCHES_DEAD_LETTERS_URL", "where its unreadable messages go")?,
            },
        })
    }
}

/// The process's environment, for the mains; an empty variable is not set.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(
    get: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    takes: &'static str,
) -> Result<Option<u32>, ConfigError> {
    let read = |value: String| value.trim().parse().map_err(|_| ConfigError::Value { name, value, takes });
    get(name).map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_named_with_its_meaning() {
        let error = Places::read(|_| None).unwrap_err().to_string();
        assert!(error.contains("LEDGER_TABLE") && error.contains("DynamoDB"), "{error}");
        assert!(WorkspaceSettings::read(|_| None).unwrap_err().to_string().contains("Developer Hub"));
    }

    #[test]
    fn the_token_has_one_place() {
        let only = |name: &'static str| move |asked: &str| (asked == name).then(|| "/bulk/token".to_owned());
        let read = |name| WorkspaceSettings::read(only(name)).unwrap().token;
        assert!(matches!(read("INTERCOM_TOKEN"), TokenFrom::Here(_)));
        assert!(matches!(read("INTERCOM_TOKEN_PARAMETER"), TokenFrom::Parameter(name) if name == "/bulk/token"));
        let both = WorkspaceSettings::read(|asked| asked.starts_with("INTERCOM_TOKEN").then(|| "s3cret".to_owned()));
        let error = both.unwrap_err().to_string();
        assert!(error.contains("both") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_wrong_setting_says_what_it_takes() {
        for (name, value) in
            [("BUCKET_MINUTES", "7"), ("INTERCOM_QUOTA_PERCENT", "0"), ("INTERCOM_PAGE_TIMEOUT_S", "x")]
        {
            let error = Settings::read(|asked| (asked == name).then(|| value.to_owned())).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn time_outs_fit_each_other() {
        let settings = Settings::read(|_| None).unwrap();
        assert!(settings.page_timeout < settings.scroll_timeout());
        assert!(settings.scroll_timeout() < settings.pages_visibility());
        assert!(settings.lease_ms() > settings.scroll_timeout().as_millis() as i64);
        // A message delivered again still meets the scroll's minute.
        assert!(settings.pages_visibility() < Duration::from_mins(1));
    }
}

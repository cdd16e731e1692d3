//! The clients and settings of every step, created once per process.

mod error;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::error::StepError;

use crate::aws::{Aws, EventBus, Parameter};
use crate::domain::api::{Api, ApiVersion};
use crate::domain::clock::Clock;
use crate::domain::run::{FORMAT, Run, RunId};
use crate::http::Https;
use crate::intercom::{Intercom, Tokens, over};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::queue::Queues;
use crate::rate_limit::RateLimiter;
use crate::runtime::config::{ConfigError, Places, Settings, WorkspaceSettings};
use crate::runtime::formats::FormatReports;
use crate::runtime::previous::Previous;
use crate::runtime::token::{StoredToken, TokenFrom};

/// The clients and settings of a step.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The client of Intercom.
    pub intercom: Intercom,
    /// The ledger in DynamoDB.
    pub ledger: Ledger,
    /// The SQS queues.
    pub queues: Queues,
    /// The rate limiter for Intercom.
    pub limiter: RateLimiter,
    /// The settings of the steps.
    pub settings: Settings,
    /// The plan of the active run.
    pub compiled: Compiled,
    /// The time of the next read of a draining run's accounts.
    pub accounts_due: AccountsDue,
    /// Closes of jobs take turns: they change the same counts, and DynamoDB refuses transactions on one
    /// item at the same time.
    pub closing: Arc<tokio::sync::Mutex<()>>,
    /// The times at which this process reported the formats that its steps read.
    pub formats: FormatReports,
    /// The values that the previous run of the plan set.
    pub previous: Previous,
    /// The event bus for the ends and pauses of runs.
    pub events: Option<EventBus>,
}

/// The time of the next read of a draining run's accounts, stored per process. The accounts are all
/// parts and jobs of the run. If each tick read them, a long run would read them thousands of
/// times.
#[derive(Clone, Debug, Default)]
pub struct AccountsDue(Arc<Mutex<Option<Deferred>>>);

impl AccountsDue {
    /// Returns the time of the next read (Unix milliseconds) and whether parts are open. Returns 0
    /// and `false` if nothing is known about the run.
    pub fn of(&self, run: &Run, generation: u32) -> (i64, bool) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref().filter(|kept| kept.is_of(run, generation));
        kept.map_or((0, false), |kept| (kept.until_ms, kept.parts))
    }

    /// Defers the next read to `until_ms` (Unix milliseconds). `parts` is true if parts are open,
    /// and false if only jobs are.
    pub fn defer(&self, run: &Run, generation: u32, until_ms: i64, parts: bool) {
        let (run, resumed_ms) = (run.id.clone(), run.resumed_ms);
        let defer = Deferred { run, generation, resumed_ms, until_ms, parts };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(defer);
    }
}

#[derive(Debug)]
struct Deferred {
    run: RunId,
    generation: u32,
    /// The run's last resume: during a pause its jobs may all have ended.
    resumed_ms: i64,
    until_ms: i64,
    parts: bool,
}

impl Deferred {
    fn is_of(&self, run: &Run, generation: u32) -> bool {
        (&self.run, self.generation, self.resumed_ms) == (&run.id, generation, run.resumed_ms)
    }
}

/// A cache of the last compiled plan, by run. A run's copy of its plan never changes. Reading and
/// compiling it for each page would dominate the page's cost.
#[derive(Clone, Debug, Default)]
pub struct Compiled(Arc<Mutex<Option<(RunId, Plan)>>>);

impl Compiled {
    /// Returns the plan if it is cached for this run.
    fn get(&self, run: &RunId) -> Option<Plan> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(of, _)| of == run).map(|(_, plan)| plan.clone())
    }

    fn keep(&self, run: &RunId, plan: &Plan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((run.clone(), plan.clone()));
    }
}

/// Time-out for connecting to Intercom.
const INTERCOM_CONNECT: Duration = Duration::from_secs(5);

impl Clients {
    /// Creates a process's clients. Intercom's answers are reported to their rate limiter.
    pub fn new(intercom: Intercom, ledger: Ledger, queues: Queues, settings: Settings) -> Self {
        let limiter = RateLimiter::new(ledger.clone(), settings.quota_percent);
        Self {
            intercom: intercom.layered(&limiter.layer()).charged(settings.bulk_charge),
            ledger,
            queues,
            limiter,
            settings,
            compiled: Compiled::default(),
            accounts_due: AccountsDue::default(),
            closing: Arc::default(),
            formats: FormatReports::default(),
            previous: Previous::default(),
            events: None,
        }
    }

    /// Creates the clients from the environment. If the token is in Parameter Store, also returns
    /// the [`StoredToken`] that reads it. Sends no request and opens no connection.
    pub fn connect(
        aws: &Aws,
        https: &Https,
        clock: Clock,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Option<StoredToken>), ConfigError> {
        let (places, settings, workspace) =
            (Places::read(&get)?, Settings::read(&get)?, WorkspaceSettings::read(&get)?);
        let (tokens, stored) = match workspace.token {
            TokenFrom::Here(token) => (Tokens::from(token), None),
            TokenFrom::Parameter(name) => {
                let stored = StoredToken::new(Parameter::new(aws.clone(), name), clock);
                (stored.tokens(), Some(stored))
            }
        };
        let transport = over(https, INTERCOM_CONNECT);
        let intercom = Intercom::new(transport, workspace.base_url, tokens, workspace.api);
        let queues = Queues::new(aws.sqs(), places.pages, places.patches);
        let clients = Self::new(intercom, Ledger::new(aws.dynamodb(), places.table), queues, settings);
        let events = places.event_bus.map(|name| EventBus::new(aws.clone(), name, places.stack));
        Ok((Self { events, ..clients }, stored))
    }

    /// Returns these clients with a client of Intercom that speaks the run's API.
    #[must_use]
    pub fn speaking_as(&self, run: &Run) -> Self {
        Self { intercom: self.of_run(run), ..self.clone() }
    }

    /// Returns these clients with a client of Intercom that speaks this version.
    #[must_use]
    pub fn speaking(&self, version: ApiVersion) -> Self {
        Self { intercom: self.intercom.of_version(version), ..self.clone() }
    }

    /// Returns the client that speaks the run's API, which the setting does not change.
    pub fn of_run(&self, run: &Run) -> Intercom {
        self.of_api(run.api, run.version)
    }

    /// Returns the client of a family: of this version or, without one, of the configured version or
    /// the newest one.
    pub fn of_api(&self, api: Api, version: Option<ApiVersion>) -> Intercom {
        let configured = Some(self.intercom.version()).filter(|version| version.api() == api);
        self.intercom.of_version(version.or(configured).unwrap_or(ApiVersion::newest(api)))
    }

    /// Records the format that a step of this process reads, every ten minutes. Scroll begins no run in
    /// a format that submit or check cannot read.
    pub async fn note_format(&self, step: &'static str, now_ms: i64) {
        if !self.formats.take_due(step, now_ms) {
            return;
        }
        if let Err(error) = self.ledger.note_format(step, FORMAT, now_ms).await {
            tracing::warn!(%error, "cannot record the format of this function; the next invocation retries");
            self.formats.failed(step);
        }
    }

    /// Returns the run's own copy of its plan, evaluated for the run's day. It is compiled once per
    /// process.
    pub async fn plan_of(&self, run: &Run) -> Result<Plan, StepError> {
        if let Some(plan) = self.compiled.get(&run.id) {
            return Ok(plan);
        }
        let stored = self.ledger.plan_of(&run.id).await?;
        let newer = |source| StepError::RunsPlan { run: run.id.clone(), source };
        let plan = Plan::of_run(&stored).map_err(newer)?.on_day_of(run.day_s());
        self.compiled.keep(&run.id, &plan);
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connects with the template's environment except for the variable `missing`.
    fn connect_without(missing: &str) -> Result<(Clients, Option<StoredToken>), ConfigError> {
        const SET: [&str; 9] = [
            "INTERCOM_TOKEN",
            "LEDGER_TABLE",
            "PAGES_QUEUE_URL",
            "PAGES_DEAD_LETTERS_URL",
            "PATCHES_QUEUE_URL",
            "PATCHES_DEAD_LETTERS_URL",
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        ];
        let get = |name: &str| (name != missing && SET.contains(&name)).then(|| "dG9rOjEyMzQ=".to_owned());
        let https = Https::default();
        Clients::connect(&Aws::read(&https, get).unwrap(), &https, Clock::starting_at(0), get)
    }

    #[tokio::test]
    async fn missing_setting_is_named() {
        assert!(connect_without("nothing").is_ok());
        for name in ["INTERCOM_TOKEN", "LEDGER_TABLE", "PAGES_QUEUE_URL", "PATCHES_DEAD_LETTERS_URL"] {
            let error = connect_without(name).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is not set: ")), "{error}");
        }
    }

    #[test]
    fn aws_call_fits_beside_a_page() {
        for seconds in ["15", "30", "50"] {
            let get = |name: &str| (name == "INTERCOM_PAGE_TIMEOUT_S").then(|| seconds.to_owned());
            let settings = Settings::read(get).unwrap();
            assert!(settings.page_timeout + crate::aws::CALL < settings.scroll_timeout(), "{seconds}");
        }
    }
}

//! The clients and settings of every step, created once per process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::aws::{Aws, Parameter};
use crate::domain::api::{Api, ApiVersion};
use crate::domain::clock::Clock;
use crate::domain::run::{FORMAT, Run, RunId};
use crate::http::Https;
use crate::intercom::{Intercom, Tokens, over};
use crate::ledger::{Ledger, LedgerError};
use crate::plan::Plan;
use crate::queue::{QueueError, Queues};
use crate::rate_limit::RateLimiter;
use crate::runtime::config::{ConfigError, Places, Settings, WorkspaceSettings};
use crate::runtime::invocation::Invocation;
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
    /// True once this process has recorded the format that its step reads.
    format_noted: Arc<AtomicBool>,
    /// The values that the previous run of the plan set.
    pub previous: Previous,
}

/// The time of the next read of a draining run's accounts, stored per process. The accounts are all
/// parts and jobs of the run. If each tick read them, a long run would read them thousands of
/// times.
#[derive(Clone, Debug, Default)]
pub struct AccountsDue(Arc<Mutex<Option<Deferred>>>);

impl AccountsDue {
    /// Returns the time of the next read (Unix milliseconds) and whether parts are open. Returns 0
    /// and `false` if nothing is known about the run.
    pub fn of(&self, run: &RunId, generation: u32) -> (i64, bool) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref().filter(|kept| kept.run == *run && kept.generation == generation);
        kept.map_or((0, false), |kept| (kept.until_ms, kept.parts))
    }

    /// Defers the next read to `until_ms` (Unix milliseconds). `parts` is true if parts are open,
    /// and false if only jobs are.
    pub fn defer(&self, run: &RunId, generation: u32, until_ms: i64, parts: bool) {
        let defer = Deferred { run: run.clone(), generation, until_ms, parts };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(defer);
    }
}

#[derive(Debug)]
struct Deferred {
    run: RunId,
    generation: u32,
    until_ms: i64,
    parts: bool,
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
            intercom: intercom.layered(&limiter.layer()),
            ledger,
            queues,
            limiter,
            settings,
            compiled: Compiled::default(),
            accounts_due: AccountsDue::default(),
            format_noted: Arc::default(),
            previous: Previous::default(),
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
        Ok((clients, stored))
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

    /// Records the format that the step of this process reads, once per process. Scroll begins no
    /// run in a format that submit or check cannot read.
    pub async fn note_format(&self, step: &str) {
        if self.format_noted.load(Ordering::Relaxed) {
            return;
        }
        match self.ledger.note_format(step, FORMAT).await {
            Ok(()) => self.format_noted.store(true, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%error, "cannot record the format of this function; the next invocation retries");
            }
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

/// The error of a step. Lambda delivers the event again, so no user is lost.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum StepError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Event(#[from] crate::runtime::event::EventError),
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    #[error("cannot read the plan of run {run}, which a newer version of the functions began: {source}")]
    RunsPlan { run: RunId, source: crate::plan::PlanError },
    #[error(
        "an invocation of {step} has {left_s} s but needs at least {least_s} s: raise the function's time-out \
         (template.yaml has the right one)"
    )]
    TimeOut { step: &'static str, left_s: i64, least_s: i64 },
    #[error("there is no run {run} in the ledger; a start that waits for its begin is no run yet")]
    NoRun { run: RunId },
    #[error("there is no plan named \"{name}\" in the ledger: store it first, or give the plan itself")]
    NoPlan { name: String },
    #[error(
        "the run is not begun: another version of this plan was started for the same second, and has its name, {run}. \
         Start it again for another time"
    )]
    Taken { run: RunId },
    #[error("the run is not begun: of the {listed} users of its list the ledger holds {found}. Start it again")]
    ListGone { listed: u64, found: u64 },
}

impl StepError {
    /// Returns whether only a newer version of the functions can handle the message or run, which
    /// is then left to it.
    pub fn is_newer(&self) -> bool {
        match self {
            Self::Ledger(error) => error.is_newer(),
            error => matches!(error, Self::RunsPlan { .. }),
        }
    }

    /// Returns an error if an invocation of `step` begins with less than `least_ms` milliseconds.
    /// Without this check, each invocation would return its messages to the queue and report
    /// success.
    pub(crate) fn unless_time(step: &'static str, at: &Invocation, least_ms: i64) -> Result<(), Self> {
        let left_ms = at.left_ms();
        let short = Self::TimeOut { step, left_s: left_ms / 1000, least_s: least_ms / 1000 };
        if left_ms < least_ms { Err(short) } else { Ok(()) }
    }

    /// Returns the error type for Lambda's callers and logs.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Ledger(_) => "Ledger",
            Self::Queue(_) => "Queue",
            Self::Event(_) => "Event",
            Self::Plan(_) | Self::RunsPlan { .. } => "Plan",
            Self::TimeOut { .. } => "TimeOut",
            Self::NoRun { .. } => "NoRun",
            Self::NoPlan { .. } => "NoPlan",
            Self::Taken { .. } => "Taken",
            Self::ListGone { .. } => "ListGone",
        }
    }

    /// Returns whether every retry of a start that failed with this error fails, too.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Plan(_) | Self::NoPlan { .. } | Self::Taken { .. } | Self::ListGone { .. } => true,
            Self::Ledger(_)
            | Self::Queue(_)
            | Self::Event(_)
            | Self::RunsPlan { .. }
            | Self::TimeOut { .. }
            | Self::NoRun { .. } => false,
        }
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

//! What every step is given: the three clients and the settings, made once per process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::aws::{Aws, Parameter};
use crate::domain::clock::Clock;
use crate::domain::run::{Run, RunId};
use crate::http::Https;
use crate::intercom::{Intercom, Tokens, over};
use crate::ledger::{Ledger, LedgerError};
use crate::plan::Plan;
use crate::queue::{QueueError, Queues};
use crate::rate_limit::RateLimiter;
use crate::runtime::config::{ConfigError, Places, Settings, TokenFrom, WorkspaceSettings};
use crate::runtime::invocation::Invocation;
use crate::runtime::token::StoredToken;

/// A step's ways to the outside.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Intercom.
    pub intercom: Intercom,
    /// DynamoDB.
    pub ledger: Ledger,
    /// SQS.
    pub queues: Queues,
    /// What the rate limit leaves.
    pub limiter: RateLimiter,
    /// How to go about it.
    pub settings: Settings,
    /// The plan of the run at work.
    pub compiled: Compiled,
    /// When the accounts of a draining run are worth reading.
    pub accounts_due: AccountsDue,
}

/// When the accounts of the draining run are worth reading again, kept by the process: they are all of its parts and jobs,
/// and a tick each minute of a long run would read them a thousand times to find that it goes on.
#[derive(Clone, Debug, Default)]
pub struct AccountsDue(Arc<Mutex<Option<Deferred>>>);

impl AccountsDue {
    /// From when on, in Unix milliseconds, and whether parts are missing; at once where nothing is known.
    pub fn of(&self, run: &RunId, generation: u32) -> (i64, bool) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref().filter(|kept| kept.run == *run && kept.generation == generation);
        kept.map_or((0, false), |kept| (kept.until_ms, kept.parts))
    }

    /// Not before `until_ms`; `parts` are missing, or only ends of jobs.
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

/// The plan that was last compiled, by its run: a run's copy never changes, and reading and compiling it again for each
/// page would be most of a page's cost.
#[derive(Clone, Debug, Default)]
pub struct Compiled(Arc<Mutex<Option<(RunId, Plan)>>>);

impl Compiled {
    /// The run's plan, if it is the one.
    fn get(&self, run: &RunId) -> Option<Plan> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(of, _)| of == run).map(|(_, plan)| plan.clone())
    }

    fn keep(&self, run: &RunId, plan: &Plan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((run.clone(), plan.clone()));
    }
}

/// How long a connection to Intercom is waited for.
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
        }
    }

    /// Makes the clients that the environment describes, and what keeps the token fresh where it lies in Parameter Store.
    /// Nothing is sent yet, and nothing set up that only sending needs.
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

    /// The run's own copy of its plan on the run's day, compiled once per process.
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

/// Why a step could not do its work. Lambda delivers the event again; nothing was lost.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The event is none that the step takes.
    #[error(transparent)]
    Event(#[from] crate::runtime::event::EventError),
    /// The plan of a start cannot be used.
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    /// A run's own copy of its plan cannot be read: the version that began the run took it.
    #[error(
        "the plan of run {run} was taken by a newer version of the functions, and this one cannot read it: {source}"
    )]
    RunsPlan {
        /// The run.
        run: RunId,
        /// What is wrong with it, to this version.
        source: crate::plan::PlanError,
    },
    /// The function's time-out leaves no time for the least piece of its work.
    #[error(
        "an invocation of {step} has {left_s} s, and needs {least_s} s to do anything: raise the function's time-out \
         (template.yaml has the right one)"
    )]
    TimeOut {
        /// The step.
        step: &'static str,
        /// What the invocation has.
        left_s: i64,
        /// What it needs.
        least_s: i64,
    },
    /// A start names a plan that is not stored.
    #[error("there is no plan named \"{name}\" in the ledger: store it first, or give the plan itself")]
    NoPlan {
        /// The name.
        name: String,
    },
    /// A start whose bound on changes is a percentage, and Intercom does not say of how many users.
    #[error(
        "the run is not begun: max_changes is a percentage and the users could not be counted ({reason}). Start it again, \
         or give max_changes as a number"
    )]
    NotCounted {
        /// Why not.
        reason: String,
        /// Intercom refuses the count itself: it will again.
        for_good: bool,
    },
    /// Another start has the run's name.
    #[error(
        "the run is not begun: another version of this plan was started for the same second, and has its name, {run}. \
         Start it again for another time"
    )]
    Taken {
        /// The name.
        run: RunId,
    },
    /// The list of users of a start that waited is not whole.
    #[error("the run is not begun: of the {listed} users of its list the ledger holds {found}. Start it again")]
    ListGone {
        /// How many the start named.
        listed: u64,
        /// How many are there.
        found: u64,
    },
}

impl StepError {
    /// Whether a newer version of the functions can do what this one cannot. The message or the run is left to it.
    pub fn is_newer(&self) -> bool {
        match self {
            Self::Ledger(error) => error.is_newer(),
            error => matches!(error, Self::RunsPlan { .. }),
        }
    }

    /// Fails an invocation of `step` that begins with less than `least_ms`: each would give back what it was given, for
    /// ever, and report success.
    pub(crate) fn unless_time(step: &'static str, at: &Invocation, least_ms: i64) -> Result<(), Self> {
        let left_ms = at.left_ms();
        let short = Self::TimeOut { step, left_s: left_ms / 1000, least_s: least_ms / 1000 };
        if left_ms < least_ms { Err(short) } else { Ok(()) }
    }

    /// The error's type as Lambda shows it to callers and counts it in logs.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Ledger(_) => "Ledger",
            Self::Queue(_) => "Queue",
            Self::Event(_) => "Event",
            Self::Plan(_) | Self::RunsPlan { .. } => "Plan",
            Self::TimeOut { .. } => "TimeOut",
            Self::NoPlan { .. } => "NoPlan",
            Self::NotCounted { .. } => "NotCounted",
            Self::Taken { .. } => "Taken",
            Self::ListGone { .. } => "ListGone",
        }
    }

    /// Whether a start that failed for this fails again, however often it is tried.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Plan(_) | Self::NoPlan { .. } | Self::Taken { .. } | Self::ListGone { .. } => true,
            Self::NotCounted { for_good, .. } => *for_good,
            Self::Ledger(_) | Self::Queue(_) | Self::Event(_) | Self::RunsPlan { .. } | Self::TimeOut { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The environment as the template makes it, without the variable `missing`.
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
    async fn each_setting_without_a_default_is_asked_for_by_name() {
        assert!(connect_without("nothing").is_ok());
        for name in ["INTERCOM_TOKEN", "LEDGER_TABLE", "PAGES_QUEUE_URL", "PATCHES_DEAD_LETTERS_URL"] {
            let error = connect_without(name).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is not set: ")), "{error}");
        }
    }

    #[test]
    fn a_call_fits_beside_a_page_of_each_time_out() {
        for seconds in ["15", "30", "50"] {
            let get = |name: &str| (name == "INTERCOM_PAGE_TIMEOUT_S").then(|| seconds.to_owned());
            let settings = Settings::read(get).unwrap();
            assert!(settings.page_timeout + crate::aws::CALL < settings.scroll_timeout(), "{seconds}");
        }
    }
}

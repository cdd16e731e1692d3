//! What every step is given: the three clients and the settings, made once per process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::config::timeout::TimeoutConfig;

use crate::config::{ConfigError, Places, Settings, Workspace};
use crate::intercom::{Intercom, SetupError, over_https};
use crate::ledger::{Ledger, LedgerError};
use crate::meter::Meter;
use crate::plan::Plan;
use crate::queue::{QueueError, Queues};
use crate::run::RunId;

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
    pub meter: Meter,
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
pub struct AccountsDue(Arc<Mutex<Option<PutOff>>>);

impl AccountsDue {
    /// From when on, in Unix milliseconds, and whether parts are missing; at once where nothing is known.
    pub fn of(&self, run: &RunId, generation: u32) -> (i64, bool) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref().filter(|kept| kept.run == *run && kept.generation == generation);
        kept.map_or((0, false), |kept| (kept.until_ms, kept.parts))
    }

    /// Not before `until_ms`; `parts` are missing, or only ends of jobs.
    pub fn put_off(&self, run: &RunId, generation: u32, until_ms: i64, parts: bool) {
        let put_off = PutOff { run: run.clone(), generation, until_ms, parts };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(put_off);
    }
}

#[derive(Debug)]
struct PutOff {
    run: RunId,
    generation: u32,
    until_ms: i64,
    parts: bool,
}

/// The plan that was last compiled, by its run: a run's copy never changes, and reading and compiling it anew for each
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
/// How long a connection to AWS is waited for: a small function needs most of a second for a TLS handshake.
const AWS_CONNECT: Duration = Duration::from_secs(3);
/// How long one attempt at an AWS call may last.
const AWS_ATTEMPT: Duration = Duration::from_secs(4);
/// How long an AWS call may last with the SDK's own retries. Scroll has 10 s beside the page that it waits for.
const AWS_CALL: Duration = Duration::from_secs(9);

/// Why the clients could not be made. The process cannot do its work and ends.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine cannot speak HTTPS.
    #[error(transparent)]
    Https(#[from] SetupError),
}

impl Clients {
    /// Makes the clients that the environment describes; nothing is sent yet. Both SDK clients take the process's shared
    /// configuration (region, credentials, endpoint), and the time-outs from here.
    pub fn connect(
        dynamodb: impl Into<aws_sdk_dynamodb::config::Builder>,
        sqs: impl Into<aws_sdk_sqs::config::Builder>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConnectError> {
        let (places, settings, workspace) = (Places::read(&get)?, Settings::read(&get)?, Workspace::read(&get)?);
        let dynamodb = dynamodb.into().timeout_config(timeouts()).build();
        let sqs = sqs.into().timeout_config(timeouts()).build();
        let transport = over_https(INTERCOM_CONNECT)?;
        let ledger = Ledger::new(aws_sdk_dynamodb::Client::from_conf(dynamodb), places.table);
        Ok(Self {
            intercom: Intercom::new(transport, workspace.base_url, workspace.token, workspace.api),
            meter: Meter::new(ledger.clone(), settings.quota_percent),
            ledger,
            queues: Queues::new(aws_sdk_sqs::Client::from_conf(sqs), places.pages, places.patches),
            settings,
            compiled: Compiled::default(),
            accounts_due: AccountsDue::default(),
        })
    }

    /// The run's own copy of its plan, compiled once per process.
    pub async fn plan_of(&self, run: &RunId) -> Result<Plan, StepError> {
        if let Some(plan) = self.compiled.get(run) {
            return Ok(plan);
        }
        let plan = Plan::from_json(&self.ledger.plan_of(run).await?)?;
        self.compiled.keep(run, &plan);
        Ok(plan)
    }
}

/// How long AWS is waited for: whoever makes the SDK's clients by other means gives them these.
pub fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(AWS_CONNECT);
    timeouts.operation_attempt_timeout(AWS_ATTEMPT).operation_timeout(AWS_CALL).build()
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
    Event(#[from] crate::event::EventError),
    /// The plan of a start cannot be used.
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    /// A start names a plan that is not stored.
    #[error("there is no plan named \"{name}\" in the ledger: store it first, or give the plan itself")]
    NoPlan {
        /// The name.
        name: String,
    },
}

impl StepError {
    /// The error's type as Lambda shows it to callers and counts it in logs.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Ledger(_) => "Ledger",
            Self::Queue(_) => "Queue",
            Self::Event(_) => "Event",
            Self::Plan(_) => "Plan",
            Self::NoPlan { .. } => "NoPlan",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The environment as the template makes it, without the variable `missing`.
    fn connect_without(missing: &str) -> Result<Clients, ConnectError> {
        const SET: [&str; 6] = [
            "INTERCOM_TOKEN",
            "LEDGER_TABLE",
            "PAGES_QUEUE_URL",
            "PAGES_DEAD_LETTERS_URL",
            "PATCHES_QUEUE_URL",
            "PATCHES_DEAD_LETTERS_URL",
        ];
        let get = |name: &str| (name != missing && SET.contains(&name)).then(|| "dG9rOjEyMzQ=".to_owned());
        let dynamodb = aws_sdk_dynamodb::Config::builder();
        let sqs = aws_sdk_sqs::Config::builder();
        Clients::connect(
            dynamodb.behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::v2026_01_12()),
            sqs.behavior_version(aws_sdk_sqs::config::BehaviorVersion::v2026_01_12()),
            get,
        )
    }

    #[test]
    fn each_setting_without_a_default_is_asked_for_by_name() {
        assert!(connect_without("nothing").is_ok());
        for name in ["INTERCOM_TOKEN", "LEDGER_TABLE", "PAGES_QUEUE_URL", "PATCHES_DEAD_LETTERS_URL"] {
            let error = connect_without(name).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is not set: ")), "{error}");
        }
    }

    #[test]
    fn a_call_fits_beside_a_page() {
        let settings = Settings::read(|_| None).unwrap();
        assert!(settings.page_timeout + AWS_CALL < settings.scroll_timeout());
    }
}

//! The steps on one machine: the functions that Lambda runs, driven by emulated queues, event
//! source mappings and schedules.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::FORMAT;
use intercom_bulk::intercom::Intercom;
use intercom_bulk::ledger::{self, Ledger, LedgerError};
use intercom_bulk::queue::Queues;
use intercom_bulk::runtime::clients::{Clients, StepError};
use intercom_bulk::runtime::config::Settings;
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk::{runtime::event, steps::check, steps::control, steps::scroll, steps::submit};
use jiff::Timestamp;
use serde_json::Value;
use strum::VariantArray;
use tokio::sync::watch;

use crate::aws::{AccountError, QueueError};
use crate::cost::{OTHERS_MB, SCROLL_MB};
use crate::topology::{CONTROL_TIMEOUT, LONG_TIMEOUT, Step, Wiring};

/// The name of the ledger's table.
pub const TABLE: &str = "intercom-bulk-ledger";
const SCROLL_TICK: Duration = Duration::from_secs(5);
const CHECK_TICK: Duration = Duration::from_secs(1);

/// The reason that the engine cannot be set up.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum EngineError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The activity of the steps since the engine's start.
#[derive(Debug, Default)]
pub struct Done {
    /// Bulk jobs created.
    pub jobs: AtomicU64,
    /// Invocations of all steps.
    pub invocations: AtomicU64,
    /// Invocations that failed.
    pub failures: AtomicU64,
    /// Running invocations, by step.
    under_way: [AtomicU64; Step::VARIANTS.len()],
    /// The reason that parts wait after a failed request, until a job is created.
    held: Mutex<Option<String>>,
    /// The time of the last page, in Unix milliseconds.
    pub last_page_ms: AtomicI64,
    /// The time of the last bulk job, in Unix milliseconds.
    pub last_job_ms: AtomicI64,
    /// Milliseconds of all invocations times the function's memory in MB, as Lambda bills.
    pub busy_mb_ms: AtomicU64,
}

impl Done {
    /// Returns the reason that submissions wait, if a request failed and none succeeded since.
    pub fn held(&self) -> Option<String> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn_held(&self, outcome: &submit::SubmitOutcome) {
        if outcome.held.is_some() || outcome.jobs > 0 {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&outcome.held);
        }
    }
}

/// The wall clock, in Unix milliseconds: the machine's, or a test's.
pub type Wall = Arc<dyn Fn() -> i64 + Send + Sync>;

/// One account with the steps behind its queues.
#[derive(Clone)]
pub struct Engine {
    /// The clients of the steps.
    pub clients: Clients,
    /// The activity so far.
    pub done: Arc<Done>,
    /// The intervals between ticks of scroll and of check. They are a minute each on AWS; here
    /// ticks are free.
    pub ticks: (Duration, Duration),
    /// Turns true when the steps must begin no further request.
    stop: Option<watch::Receiver<bool>>,
    sqs: aws_sdk_sqs::Client,
    wall: Wall,
    wiring: Wiring,
}

impl Engine {
    /// Sets the engine up with these services. Existing ledger items stay.
    pub async fn open(
        dynamodb: &aws_sdk_dynamodb::Client,
        sqs: &aws_sdk_sqs::Client,
        intercom: Intercom,
        settings: Settings,
        wall: Wall,
    ) -> Result<Self, EngineError> {
        ledger::create(dynamodb, TABLE).await?;
        let wiring = Wiring::open(sqs, settings.scroll_timeout(), settings.pages_visibility()).await?;
        let ledger = Ledger::new(dynamodb.clone(), TABLE);
        // All steps of this process are of one version.
        for step in [Step::Submit, Step::Check] {
            ledger.note_format(step.name(), FORMAT, wall()).await?;
        }
        let queues = Queues::new(sqs.clone(), wiring.pages.clone(), wiring.patches.clone());
        let clients = Clients::new(intercom, ledger, queues, settings);
        let ticks = (SCROLL_TICK, CHECK_TICK);
        Ok(Self { clients, done: Arc::default(), ticks, stop: None, sqs: sqs.clone(), wall, wiring })
    }

    /// Returns the same engine, whose steps begin no further request once `stop` is true.
    #[must_use]
    pub fn stopped_by(&self, stop: watch::Receiver<bool>) -> Self {
        Self { stop: Some(stop), ..self.clone() }
    }

    /// Returns the time in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        (self.wall)()
    }

    /// Returns the steps with a running invocation.
    pub fn under_way(&self) -> Vec<&'static str> {
        let busy =
            Step::VARIANTS.iter().zip(&self.done.under_way).filter(|(_, count)| count.load(Ordering::Relaxed) > 0);
        busy.map(|(step, _)| step.name()).collect()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn invocation(&self, timeout: Duration) -> Invocation {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let now_ms = self.now_ms();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Invocation {
            clock: Clock::starting_at(now_ms),
            request_id: format!("local-{}-{now_ms}-{count}", std::process::id()),
            deadline_ms: now_ms + timeout.as_millis() as i64,
            stop: self.stop.clone(),
        }
    }

    /// Drives the steps until `stop` turns true, then finishes running invocations.
    pub async fn run(&self, stop: watch::Receiver<bool>) {
        let engine = self.clone();
        let invoke = move |step, event| {
            let engine = engine.clone();
            async move {
                // On the heap: in a debug build, the futures of a step fill a thread's stack of 2 MB.
                match step {
                    Step::Scroll => Box::pin(engine.scroll(event)).await,
                    Step::Submit => Box::pin(engine.submit(event)).await,
                    Step::Check => Box::pin(engine.check(event)).await,
                    Step::Control => Box::pin(engine.control(event)).await,
                }
            }
        };
        self.wiring.drive(&self.sqs, self.ticks, self.now(), invoke, stop).await;
    }

    /// Invokes scroll with an event.
    pub async fn scroll(&self, event: Value) -> Result<Value, String> {
        let at = self.invocation(self.clients.settings.scroll_timeout());
        let handled = async {
            let outcome = Box::pin(scroll::handle(&self.clients, &event, &at)).await?;
            if outcome.users > 0 {
                self.done.last_page_ms.store(self.now_ms(), Ordering::Relaxed);
            }
            Ok(answer(&event, &outcome, &outcome.redeliver))
        };
        self.count(Step::Scroll, handled).await
    }

    /// Invokes submit with an event.
    pub async fn submit(&self, event: Value) -> Result<Value, String> {
        let at = self.invocation(LONG_TIMEOUT);
        let handled = async {
            let outcome = Box::pin(submit::handle(&self.clients, &event, &at)).await?;
            if outcome.jobs > 0 {
                self.done.last_job_ms.store(self.now_ms(), Ordering::Relaxed);
            }
            self.done.jobs.fetch_add(outcome.jobs, Ordering::Relaxed);
            self.done.learn_held(&outcome);
            let redeliver: Vec<String> = outcome.redeliver.iter().cloned().collect();
            Ok(answer(&event, &outcome, &redeliver))
        };
        self.count(Step::Submit, handled).await
    }

    /// Invokes check with an event.
    pub async fn check(&self, event: Value) -> Result<Value, String> {
        let at = self.invocation(LONG_TIMEOUT);
        let handled = async {
            let outcome = Box::pin(check::handle(&self.clients, &event, &at)).await?;
            Ok(answer(&event, &outcome, &[]))
        };
        self.count(Step::Check, handled).await
    }

    /// Invokes control with an event.
    pub async fn control(&self, event: Value) -> Result<Value, String> {
        let at = self.invocation(CONTROL_TIMEOUT);
        let handled = async {
            let outcome = Box::pin(control::handle(&self.clients, &event, &at)).await?;
            Ok(answer(&event, &outcome, &[]))
        };
        self.count(Step::Control, handled).await
    }

    async fn count(
        &self,
        step: Step,
        handled: impl Future<Output = Result<Value, StepError>>,
    ) -> Result<Value, String> {
        let memory_mb = if step == Step::Scroll { SCROLL_MB } else { OTHERS_MB };
        let _under_way = UnderWay::of(&self.done.under_way[step as usize]);
        self.done.invocations.fetch_add(1, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        let result = AT_WORK.scope(step, Box::pin(handled)).await;
        self.done.busy_mb_ms.fetch_add(began.elapsed().as_millis() as u64 * memory_mb, Ordering::Relaxed);
        result.map_err(|error| {
            self.done.failures.fetch_add(1, Ordering::Relaxed);
            error.to_string()
        })
    }
}

tokio::task_local! {
    static AT_WORK: Step;
}

/// Returns the step whose invocation runs in the current task, if any.
///
/// Tests derive from it the function role of a call to AWS.
pub fn step_at_work() -> Option<Step> {
    AT_WORK.try_with(|step| *step).ok()
}

/// Counts a running invocation, also if it is cut off.
struct UnderWay<'a>(&'a AtomicU64);

impl<'a> UnderWay<'a> {
    fn of(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns a function's answer to Lambda: the failed messages of a batch, or else its outcome.
fn answer<T: serde::Serialize>(event: &Value, outcome: &T, redeliver: &[String]) -> Value {
    if event.get("Records").is_some() {
        event::batch_response(redeliver)
    } else {
        serde_json::to_value(outcome).unwrap_or_default()
    }
}

/// Returns the machine's clock. Only this function reads it for the engine.
pub fn machine_wall() -> Wall {
    #[expect(clippy::disallowed_methods, reason = "an invocation's clock begins with the machine's time")]
    let now = || Timestamp::now().as_millisecond();
    Arc::new(now)
}

//! The shared parts of the Lambda functions: start of the process, start of an invocation,
//! and its end with one line of log and one of metrics. The folder `functions/` has the parts that
//! differ.

mod log;
mod wake;

use intercom_bulk::aws::{Aws, ParameterError};
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::http::Https;
use intercom_bulk::runtime::clients::{Clients, StepError};
use intercom_bulk::runtime::config::environment;
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk::runtime::settings::STACK_NAME;
use intercom_bulk::runtime::telemetry::{self, Metric};
use intercom_bulk::runtime::token::StoredToken;
use lambda_runtime::{Context, Diagnostic, Error};
use serde::Serialize;
use serde_json::Value;

/// The deadline of an invocation without one: submit's time-out in the template, the longest.
const UNNAMED_MS: i64 = 300_000;

/// A function's process.
#[derive(Debug)]
pub struct Function {
    /// The clients of the step.
    pub clients: Clients,
    aws: Aws,
    token: Option<StoredToken>,
    calls_intercom: bool,
    stack: Option<String>,
}

impl Function {
    /// Starts the process: reads the settings and creates the clients.
    ///
    /// Unless `WARM_CONNECTIONS` is `off`, the clients connect while Lambda waits for the process.
    pub async fn wake() -> Result<Self, Error> {
        log::init(environment)?;
        let function = Self::of_environment(environment);
        let function =
            function.inspect_err(|error| tracing::error!(%error, "cannot start; the template gives the settings"))?;
        function.warm(environment).await;
        Ok(function)
    }

    /// Starts the process of a function that calls AWS only. It never reads the access token, so its
    /// role does not allow that.
    pub async fn wake_without_intercom() -> Result<Self, Error> {
        log::init(environment)?;
        let function = Self::of_environment(environment);
        let function =
            function.inspect_err(|error| tracing::error!(%error, "cannot start; the template gives the settings"))?;
        let function = Self { token: None, calls_intercom: false, ..function };
        function.warm(environment).await;
        Ok(function)
    }

    fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let https = Https::of_one_bundle(&get);
        let aws = Aws::read(&https, &get)?;
        let (clients, token) = Clients::connect(&aws, &https, Clock::of_the_machine(), &get)?;
        Ok(Self { clients, aws, token, calls_intercom: true, stack: get(STACK_NAME.name) })
    }

    /// Begins an invocation. Fails without an access token.
    pub async fn begin(&self, context: Context) -> Result<Invocation, Diagnostic> {
        let at = invocation(context);
        if let Some(token) = &self.token {
            token.ready(at.clock).await.map_err(|error| no_token(&error))?;
        }
        Ok(at)
    }

    /// Begins an invocation that may need no token, for example to end a run at its deadline.
    ///
    /// Later calls that need the token request it again.
    pub async fn begin_without_token(&self, context: Context) -> Invocation {
        let at = invocation(context);
        if let Some(token) = &self.token
            && let Err(error) = token.ready(at.clock).await
        {
            tracing::error!(%error, "no access token; this invocation only does work that needs none");
        }
        at
    }

    /// Ends an invocation: logs its outcome and, if it did something, its metrics.
    pub fn end(&self, outcome: &impl Serialize, metrics: &[Metric], at: &Invocation) -> Value {
        let did = serde_json::to_value(outcome).unwrap_or_default();
        tracing::info!(outcome = %did, "done");
        if let Some(line) = telemetry::line(self.stack.as_deref(), at.clock.now_ms(), metrics) {
            write(&line);
        }
        did
    }
}

fn invocation(context: Context) -> Invocation {
    let clock = Clock::of_the_machine();
    let deadline_ms = deadline_ms(context.deadline, clock.now_ms());
    Invocation { clock, request_id: context.request_id, deadline_ms, stop: None }
}

/// Returns the deadline of the invocation.
///
/// Lambda gives a future time. `cargo lambda watch` gives ten minutes after the start of 1970 (its
/// `functions_router.rs`); with that deadline no step would begin a request.
fn deadline_ms(named_ms: u64, now_ms: i64) -> i64 {
    i64::try_from(named_ms).ok().filter(|named_ms| *named_ms > now_ms).unwrap_or(now_ms + UNNAMED_MS)
}

#[expect(clippy::print_stdout, reason = "CloudWatch reads metrics only from lines that are pure JSON")]
fn write(line: &Value) {
    println!("{line}");
}

/// Converts a step's error to the form that Lambda returns to callers and counts.
pub fn failed(error: &StepError) -> Diagnostic {
    Diagnostic { error_type: error.error_type().to_owned(), error_message: error.to_string() }
}

fn no_token(error: &ParameterError) -> Diagnostic {
    Diagnostic { error_type: "Token".to_owned(), error_message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_deadline_is_ignored() {
        const NOW_MS: i64 = 1_479_981_900_000;
        assert_eq!(deadline_ms(1_479_981_925_000, NOW_MS), NOW_MS + 25_000, "Lambda's");
        assert_eq!(deadline_ms(600_000, NOW_MS), NOW_MS + UNNAMED_MS, "cargo lambda watch's");
        assert_eq!(deadline_ms(u64::MAX, NOW_MS), NOW_MS + UNNAMED_MS);
    }
}

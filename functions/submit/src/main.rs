//! The Lambda function around the submit step: clients once per process, one call per invocation, the answer.

use aws_config::BehaviorVersion;
use intercom_bulk::clients::Clients;
use intercom_bulk::config::environment;
use intercom_bulk::invocation::{Clock, Invocation};
use intercom_bulk::{event::batch_response, submit};
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, run, service_fn, tracing};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let aws = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
    let made = Clients::connect(&aws, &aws, environment);
    let clients = made.inspect_err(|error| tracing::error!(%error, "cannot start; the template gives the settings"))?;
    run(service_fn(async |event: LambdaEvent<Value>| handle(&clients, &event.payload, event.context).await)).await
}

/// One invocation. What it did is logged here; an error, by the runtime.
async fn handle(clients: &Clients, event: &Value, context: Context) -> Result<Value, Diagnostic> {
    let deadline_ms = context.deadline as i64;
    let at = Invocation { clock: Clock::of_the_machine(), request_id: context.request_id, deadline_ms };
    let outcome = submit::handle(clients, event, &at)
        .await
        .map_err(|error| Diagnostic { error_type: error.error_type().to_owned(), error_message: error.to_string() })?;
    let did = serde_json::to_value(&outcome).unwrap_or_default();
    tracing::info!(outcome = %did, "submit done");
    Ok(batch_response(&Vec::from_iter(outcome.redeliver)))
}

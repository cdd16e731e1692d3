//! The Lambda function around the check step: awake once per process, one call per invocation, the answer.

use intercom_bulk::steps::check;
use intercom_bulk_function::{Function, failed};
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::wake().await?;
    run(service_fn(async |event: LambdaEvent<Value>| handle(&function, &event.payload, event.context).await)).await
}

/// One invocation. What it did is told when it ends; an error, by the runtime.
async fn handle(function: &Function, event: &Value, context: Context) -> Result<Value, Diagnostic> {
    let at = function.begin(context).await?;
    let outcome = check::handle(&function.clients, event, &at).await.map_err(|error| failed(&error))?;
    Ok(function.end(&outcome, &outcome.metrics(), &at))
}

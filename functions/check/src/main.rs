//! The Lambda function of the check step: one start per process, one call per invocation.

use intercom_bulk::steps::check;
use intercom_bulk_function::{Function, failed};
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::wake().await?;
    run(service_fn(async |event: LambdaEvent<Value>| handle(&function, &event.payload, event.context).await)).await
}

/// Handles one invocation. Logs its outcome; the runtime logs an error.
async fn handle(function: &Function, event: &Value, context: Context) -> Result<Value, Diagnostic> {
    let at = function.begin(context).await?;
    // Without the box, the nested types of the step's calls exceed the compiler's limit.
    let outcome = Box::pin(check::handle(&function.clients, event, &at)).await.map_err(|error| failed(&error))?;
    Ok(function.end(&outcome, &outcome.metrics(), &at))
}

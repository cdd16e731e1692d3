//! The Lambda function of the control step: one start per process, one call per invocation.

use intercom_bulk::steps::control;
use intercom_bulk_function::{Function, failed};
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::wake_without_intercom().await?;
    run(service_fn(async |event: LambdaEvent<Value>| handle(&function, &event.payload, event.context).await)).await
}

/// Handles one invocation. Logs its outcome; the runtime logs an error.
async fn handle(function: &Function, event: &Value, context: Context) -> Result<Value, Diagnostic> {
    let at = function.begin_without_token(context).await;
    // Boxed: the step's future, nested in the runtime's, exceeds the compiler's recursion limit.
    let outcome = Box::pin(control::handle(&function.clients, event, &at)).await.map_err(|error| failed(&error))?;
    Ok(function.end(&outcome, &[], &at))
}

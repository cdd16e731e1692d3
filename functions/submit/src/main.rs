//! The Lambda function around the submit step: awake once per process, one call per invocation, the answer.

use intercom_bulk::{runtime::event::batch_response, steps::submit};
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
    // Boxed: the step's future, nested in the runtime's, is deeper than the compiler follows.
    let outcome = Box::pin(submit::handle(&function.clients, event, &at)).await.map_err(|error| failed(&error))?;
    function.end(&outcome, &outcome.metrics(), &at);
    Ok(batch_response(&Vec::from_iter(outcome.redeliver)))
}

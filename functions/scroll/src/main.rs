//! The Lambda function of the scroll step: one start per process, one call per invocation.

use intercom_bulk::runtime::event::{batch_response, is_tick};
use intercom_bulk::steps::scroll;
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
    let at = if is_tick(event) { function.begin_without_token(context).await } else { function.begin(context).await? };
    // Boxed: the step's future, nested in the runtime's, exceeds the compiler's recursion limit.
    let outcome = Box::pin(scroll::handle(&function.clients, event, &at)).await.map_err(|error| failed(&error))?;
    let did = function.end(&outcome, &outcome.metrics(), &at);
    // A batch of the pages queue expects its failed messages. A schedule or an operator gets the
    // outcome.
    Ok(if event.get("Records").is_some() { batch_response(&outcome.redeliver) } else { did })
}

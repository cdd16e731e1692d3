//! The Lambda function around the scroll step: awake once per process, one call per invocation, the answer.

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

/// One invocation. What it did is told when it ends; an error, by the runtime.
async fn handle(function: &Function, event: &Value, context: Context) -> Result<Value, Diagnostic> {
    let at = if is_tick(event) { function.begin_without_token(context).await } else { function.begin(context).await? };
    // Boxed: the step's future, nested in the runtime's, is deeper than the compiler follows.
    let outcome = Box::pin(scroll::handle(&function.clients, event, &at)).await.map_err(|error| failed(&error))?;
    let did = function.end(&outcome, &outcome.metrics(), &at);
    // A batch of the pages queue wants the messages that come again; a schedule or a person, what happened.
    Ok(if event.get("Records").is_some() { batch_response(&outcome.redeliver) } else { did })
}

//! Access to a deployed stack: credentials of the environment or of the AWS CLI, and the names of
//! its table and queue from its outputs.

use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use bytes::Bytes;
use intercom_bulk::aws::{Aws, AwsError, CallError, ServiceApi};
use intercom_bulk::http::Https;
use intercom_bulk::runtime::config::environment;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use roxmltree::{Document, Node};
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

/// `DescribeStacks`, in CloudFormation's query protocol.
const DESCRIBE: ServiceApi = ServiceApi {
    service: "cloudformation",
    content_type: "application/x-www-form-urlencoded; charset=utf-8",
    target: None,
};
/// The version of CloudFormation's API, its only one.
const VERSION: &str = "2010-05-15";
/// The characters that a value of a form encodes: all except letters, digits and `-._~`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The reason that a stack cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackError {
    #[error("{source}. The AWS CLI failed, too: {detail}")]
    Access { source: AwsError, detail: String },
    #[error("the outputs of the stack {stack} cannot be read: {source}")]
    Call { stack: String, source: CallError },
    #[error("the outputs of the stack {stack} cannot be read: {detail} ({status}, region {region})")]
    Refused { stack: String, detail: String, status: u16, region: String },
    #[error("the function {function} cannot be invoked: {source}")]
    Invoke { function: String, source: CallError },
    #[error("the function {function} cannot be invoked: {detail}")]
    NotInvoked { function: String, detail: String },
    #[error("the stack {stack} has no output {output}: is it one of this project's template, and is it complete?")]
    Output { stack: String, output: &'static str },
}

/// The output of `aws configure export-credentials --format process`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// Returns the account of the environment.
///
/// If the environment has no keys, the AWS CLI provides them, including profiles and single
/// sign-on.
pub(crate) async fn account() -> Result<Aws, StackError> {
    let https = Https::default();
    let source = match Aws::read(&https, environment) {
        Ok(aws) => return Ok(aws),
        Err(source) => source,
    };
    of_the_cli(&https).await.map_err(|detail| StackError::Access { source, detail })
}

async fn of_the_cli(https: &Https) -> Result<Aws, String> {
    let region = match environment("AWS_REGION").or_else(|| environment("AWS_DEFAULT_REGION")) {
        Some(region) => region,
        None => cli(&["configure", "get", "region"]).await?,
    };
    let printed = cli(&["configure", "export-credentials", "--format", "process"]).await?;
    let keys: Exported = serde_json::from_str(&printed).map_err(|_| "it printed no credentials".to_owned())?;
    let mut credentials = Credentials::builder().access_key_id(keys.access_key_id);
    credentials = credentials.secret_access_key(keys.secret_access_key);
    credentials.set_session_token(keys.session_token);
    let provider = SharedCredentialsProvider::new(credentials.provider_name("aws cli").build());
    Ok(Aws::with(https, region, provider, environment))
}

/// Runs the AWS CLI and returns its output.
async fn cli(arguments: &[&str]) -> Result<String, String> {
    let run = Command::new("aws").args(arguments).stdin(Stdio::null()).output().await;
    let output = run.map_err(|error| format!("it cannot be run ({error})"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    match output.status.success() && !printed.is_empty() {
        true => Ok(printed),
        false if said.is_empty() => Err(format!("`aws {}` prints nothing", arguments.join(" "))),
        false if said.starts_with("usage:") => {
            Err(format!("it does not know `aws {}`: version 2 does", arguments.join(" ")))
        }
        false => Err(said),
    }
}

/// Returns an output of a stack.
pub(crate) async fn output(aws: &Aws, stack: &str, output: &'static str, now_ms: i64) -> Result<String, StackError> {
    let body = format!("Action=DescribeStacks&Version={VERSION}&StackName={}", utf8_percent_encode(stack, RESERVED));
    let called = aws.call(DESCRIBE, &Bytes::from(body), now_ms).await;
    let answer = called.map_err(|source| StackError::Call { stack: stack.to_owned(), source })?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != 200 {
        let detail = element(&text, "Message").unwrap_or_else(|| "no message".to_owned());
        let (stack, region) = (stack.to_owned(), aws.region().to_owned());
        return Err(StackError::Refused { stack, detail, status: answer.status, region });
    }
    named(&text, output).ok_or_else(|| StackError::Output { stack: stack.to_owned(), output })
}

/// The longest wait for the answer of control, above its time-out in the template.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(65);

/// Invokes the control function of a stack with an event that may be repeated. Returns its answer.
pub(crate) async fn control(aws: &Aws, stack: &str, event: &Value, now_ms: i64) -> Result<Value, StackError> {
    let function = output(aws, stack, "ControlFunction", now_ms).await?;
    let called = aws.invoke(&function, &Bytes::from(event.to_string()), CONTROL_TIMEOUT, now_ms).await;
    let answer = match called {
        Ok(answer) => answer,
        Err(source) => return Err(StackError::Invoke { function, source }),
    };
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == 200 && !answer.is_function_error {
        return Ok(value);
    }
    let said = ["errorMessage", "Message", "message"].into_iter().find_map(|key| value[key].as_str());
    let detail = said.map_or_else(|| format!("status {}", answer.status), ToOwned::to_owned);
    Err(StackError::NotInvoked { function, detail })
}

/// Returns the text of the first element of this name.
fn element(text: &str, name: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    elements(document.root(), name).next()?.text().map(ToOwned::to_owned)
}

/// Returns the value of the output of this name.
fn named(text: &str, output: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let key = elements(document.root(), "OutputKey").find(|key| key.text() == Some(output))?;
    elements(key.parent()?, "OutputValue").next()?.text().map(ToOwned::to_owned)
}

/// Returns the elements of this name in any namespace, because emulators omit it.
fn elements<'a, 'input>(within: Node<'a, 'input>, name: &str) -> impl Iterator<Item = Node<'a, 'input>> {
    within.descendants().filter(move |node| node.tag_name().name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
        <DescribeStacksResult><Stacks><member><StackName>bulk</StackName><Outputs>
          <member><OutputValue>a&amp;b</OutputValue><OutputKey>PagesQueueUrl</OutputKey></member>
          <member><OutputKey>LedgerTable</OutputKey><Description>d</Description><OutputValue>t</OutputValue></member>
        </Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;

    #[test]
    fn outputs_are_found_by_name_in_any_order() {
        assert_eq!(named(ANSWER, "LedgerTable").as_deref(), Some("t"));
        assert_eq!(named(ANSWER, "PagesQueueUrl").as_deref(), Some("a&b"));
        assert_eq!(named(ANSWER, "StackName"), None);
        assert_eq!(named("<x", "LedgerTable"), None);
    }

    #[test]
    fn refusal_shows_the_message() {
        let refusal = "<ErrorResponse xmlns='x'><Error><Code>ValidationError</Code><Message>Stack with id b does not \
                       exist</Message></Error></ErrorResponse>";
        assert_eq!(element(refusal, "Message").as_deref(), Some("Stack with id b does not exist"));
    }

    #[test]
    fn name_in_a_form_is_encoded() {
        let encoded = |name| utf8_percent_encode(name, RESERVED).to_string();
        assert_eq!(encoded("bulk-eu"), "bulk-eu");
        assert_eq!(encoded("a&b=c d/é"), "a%26b%3Dc%20d%2F%C3%A9");
    }
}

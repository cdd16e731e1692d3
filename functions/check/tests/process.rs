//! Runs the function as Lambda does: as a process that polls a Runtime API. AWS and Intercom are
//! local. One of the three functions is enough; their differences have their own tests.
#![expect(clippy::unwrap_used, reason = "what a test sets up by itself may panic")]

mod runtime;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use intercom_bulk::domain::api::Way;
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::job::JobId;
use intercom_bulk::domain::part::{PageRead, cut};
use intercom_bulk::domain::patch::{Change, Patch, Target};
use intercom_bulk::domain::run::RunId;
use intercom_bulk::domain::user::UserId;
use intercom_bulk::ledger::{JobOf, JobRow, Ledger, PartOfJob, create};
use intercom_bulk_emulator::aws::Account;
use intercom_simulator::{Options, World};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

use runtime::{Answer, Runtime};

const SECRET: &str = "a-token-that-is-never-printed";
/// The time limit of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Creates a ledger with a job that Intercom does not know.
async fn account() -> Account {
    let account = Account::open(None).unwrap();
    create(&account.dynamodb, "ledger").await.unwrap();
    let change = Change { target: Target::Attribute("a".into()), new: json!(1), replaced: None };
    let patch = Patch { user: UserId::new("u1").unwrap(), changes: vec![change] };
    let read = PageRead { generation: 1, page: 1, reading: None };
    let part = cut(&RunId::of("p", 0), read, vec![patch], 50, |_| Way::Job).remove(0);
    let parts = vec![PartOfJob { part: part.id, users: None, repeated: false }];
    let of = JobOf { run: part.run, v: 2, generation: 1, users: 1, changes: String::new(), parts };
    let row = JobRow::open(JobId::new("job_1").unwrap(), Bucket::of(0, Width::MINUTE), of, 0, 0);
    Ledger::new(account.dynamodb.clone(), "ledger").record_job(&row, &[], "x").await.unwrap();
    account
}

/// Serves Parameter Store, with the token or empty.
async fn parameters(has_token: bool) -> String {
    let found = json!({"Parameter": {"Type": "SecureString", "Value": SECRET}}).to_string();
    let missing = (http::StatusCode::BAD_REQUEST, json!({"__type": "ParameterNotFound"}).to_string());
    let answer = move || std::future::ready(if has_token { (http::StatusCode::OK, found) } else { missing });
    serve(Router::new().fallback(answer)).await
}

/// Starts the function, sends one event, and returns its answer and the output up to it.
async fn invoke(event: &Value, has_token: bool) -> (Answer, Vec<String>) {
    let runtime = Runtime::with(event);
    let world = World::new(Options { users: 1, token: Some(SECRET.to_owned()), ..Options::default() });
    let environment = BTreeMap::from([
        ("AWS_LAMBDA_RUNTIME_API", serve(runtime.router()).await.replace("http://", "")),
        ("AWS_LAMBDA_FUNCTION_NAME", "check".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "k".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
        ("AWS_ENDPOINT_URL", serve(account().await.router()).await),
        ("AWS_ENDPOINT_URL_SSM", parameters(has_token).await),
        ("INTERCOM_BASE_URL", serve(world.router()).await),
        ("INTERCOM_TOKEN_PARAMETER", "/bulk/token".to_owned()),
        ("LEDGER_TABLE", "ledger".to_owned()),
        ("PAGES_QUEUE_URL", "http://q/1/pages".to_owned()),
        ("PAGES_DEAD_LETTERS_URL", "http://q/1/pages-dead".to_owned()),
        ("PATCHES_QUEUE_URL", "http://q/1/patches".to_owned()),
        ("PATCHES_DEAD_LETTERS_URL", "http://q/1/patches-dead".to_owned()),
        ("STACK_NAME", "bulk-eu".to_owned()),
    ]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_check"));
    command.env_clear().envs(environment).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    let answer = tokio::time::timeout(PATIENCE, runtime.answer()).await.unwrap();
    process.kill().await.unwrap();
    let mut lines = Vec::new();
    while let Some(line) = output.next_line().await.unwrap() {
        assert!(!line.contains(SECRET), "the token was printed: {line}");
        lines.push(line);
    }
    (answer, lines)
}

#[tokio::test]
async fn metrics_are_one_plain_line_of_json() {
    let (answer, lines) = invoke(&json!({"tick": {}}), true).await;
    let Answer::Response(did) = answer else { panic!("{answer:?} {lines:#?}") };
    assert_eq!((&did["looked"], &did["unknown"]), (&json!(1), &json!(1)), "{did}");
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let metrics: Vec<&Value> = lines.iter().filter(|line| line.get("_aws").is_some()).collect();
    assert_eq!(metrics.len(), 1, "{lines:#?}");
    assert_eq!((&metrics[0]["Stack"], &metrics[0]["JobsUnknown"]), (&json!("bulk-eu"), &json!(1)));
    assert!(lines.iter().any(|line| line["fields"]["message"] == "awake"), "{lines:#?}");
    for line in lines.iter().filter(|line| line.get("_aws").is_none()) {
        // Lambda reads a line's level only if the line has a timestamp in this form.
        let time: Result<jiff::Timestamp, _> = line["timestamp"].as_str().unwrap_or_default().parse();
        assert!(time.is_ok() && line["level"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn missing_token_fails_the_invocation_with_a_remedy() {
    let (answer, _) = invoke(&json!({"tick": {}}), false).await;
    let Answer::Error(error) = answer else { panic!("{answer:?}") };
    assert_eq!(error["errorType"], "Token");
    assert!(error["errorMessage"].as_str().unwrap().contains("put-parameter --name /bulk/token"), "{error}");
}

//! Measures the functions at the end of a long run, and between two generations of it: ten million
//! users in 100,000 jobs and 2,500 buckets.
//!
//! `cargo build --release --workspace --bins && cargo bench --workspace --bench accounts`; a number
//! after `--` sets the jobs.
//!
//! The real binaries run as other processes than the emulated DynamoDB, which answers each call 10 ms
//! later. On Linux, as root, a control group holds each to the memory of its function in the template
//! and to the share of a core that comes with it. For each invocation it prints the time, the calls and
//! units of DynamoDB, and the function's CPU time and highest memory.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

#[path = "../functions/check/tests/runtime/mod.rs"]
mod runtime;
#[path = "share/mod.rs"]
mod share;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::run::{Cursor, Limits, Phase, Run, RunId, Source, Start};
use intercom_bulk::ledger::{Active, Ledger, create};
use intercom_bulk_emulator::aws::Account;
use intercom_bulk_emulator::cost::{OTHERS_MB, SCROLL_MB};
use intercom_simulator::{Options, World};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use runtime::{Answer, Runtime};
use share::{Share, used};

const TABLE: &str = "ledger";
const JOBS: u64 = 100_000;
const USERS_OF_JOB: u64 = 100;
const JOBS_OF_BUCKET: u64 = 40;
/// Items per request that fills the table.
const BATCH: usize = 25;
/// The time to live of all items, after any time at which this bench runs.
const EXPIRES_S: i64 = 9_000_000_000;
/// Added to each call of DynamoDB.
const CALL: Duration = Duration::from_millis(10);

type Item = HashMap<String, AttributeValue>;

fn item(pk: String, sk: String, numbers: &[(&str, i64)], texts: &[(&str, String)]) -> Item {
    let text = |(name, value): &(&str, String)| ((*name).to_owned(), AttributeValue::S(value.clone()));
    let number = |(name, value): &(&str, i64)| ((*name).to_owned(), AttributeValue::N(value.to_string()));
    let keys = [("pk", pk), ("sk", sk)];
    keys.iter().map(text).chain(texts.iter().map(text)).chain(numbers.iter().map(number)).collect()
}

/// Returns the rows of one page, its only part, and its job.
fn rows(run: &RunId, job: u64, bucket: &Bucket, made_ms: i64) -> [Item; 3] {
    let (page, reading) = (job + 1, format!("{job}.1"));
    let part = format!("0001#{page:07}#00#{reading}");
    let (pk, expires) = (format!("RUN#{run}"), ("expires_at", EXPIRES_S));
    let of_page = [("v", 2), ("generation", 1), ("page", page as i64), ("parts", 1), ("users", 100), expires];
    let of_part = [("generation", 1), ("users", 100), ("attempt", 1), ("lost", 0), expires];
    let of_job = [
        ("v", 2),
        ("generation", 1),
        ("users", USERS_OF_JOB as i64),
        ("made_ms", made_ms),
        ("looks", 1),
        ("failed", 0),
        ("unattributed", 0),
        ("again_users", 0),
        expires,
    ];
    let name = format!("job_{job:024x}");
    let mut job = item(
        format!("BUCKET#{bucket}"),
        format!("JOB#{name}"),
        &of_job,
        &[("job", name.clone()), ("bucket", bucket.to_string()), ("run", run.to_string()), ("end", "completed".into())],
    );
    let at = HashMap::from([
        ("page".to_owned(), AttributeValue::N(page.to_string())),
        ("part".to_owned(), AttributeValue::N("0".to_owned())),
        ("reading".to_owned(), AttributeValue::S(reading.clone())),
    ]);
    let origin = AttributeValue::M(HashMap::from([("page".to_owned(), AttributeValue::M(at))]));
    job.insert("parts".to_owned(), AttributeValue::L(vec![origin.clone()]));
    let texts = [("job", name), ("bucket", bucket.to_string()), ("end", "done".to_owned())];
    let mut row = item(pk.clone(), format!("PART#{part}"), &of_part, &texts);
    row.insert("origin".to_owned(), origin);
    let mut of_page = item(pk, format!("PAGE#0001#{page:07}"), &of_page, &[("reading", reading)]);
    // No part has users of the sample.
    of_page.insert("ranks".to_owned(), AttributeValue::L(vec![AttributeValue::N(u64::MAX.to_string())]));
    [of_page, row, job]
}

/// Returns the counts of a bucket.
fn counts(run: &RunId, bucket: &Bucket, jobs: i64) -> Item {
    let users = jobs * USERS_OF_JOB as i64;
    let numbers = [
        ("generation", 1),
        ("jobs", jobs),
        ("items", users),
        ("sent", users),
        ("completed", jobs),
        ("written", users),
        ("parts_ended", jobs),
        ("w0", users / 2),
        ("w1", users / 2),
        ("expires_at", EXPIRES_S),
    ];
    let bucket = bucket.to_string();
    item(format!("RUN#{run}"), format!("BUCKETS#{bucket}#0001"), &numbers, &[("bucket", bucket)])
}

async fn write(account: &Account, items: &mut Vec<Item>, least: usize) {
    while items.len() >= least.max(1) {
        let batch: Vec<WriteRequest> = items
            .drain(..items.len().min(BATCH))
            .map(|item| {
                let put = PutRequest::builder().set_item(Some(item)).build().expect("an item");
                WriteRequest::builder().put_request(put).build()
            })
            .collect();
        let sent = account.dynamodb.batch_write_item().request_items(TABLE, batch).send().await;
        sent.expect("the emulated table takes items");
    }
}

/// Serves routes on a free port, and returns the address.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port").to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Answers later, as the network would.
async fn later(request: Request, next: Next) -> axum::response::Response {
    let answer = next.run(request).await;
    tokio::time::sleep(CALL).await;
    answer
}

/// The services around the functions.
struct Surroundings {
    account: Account,
    dynamodb: String,
    intercom: String,
    /// The URL of the pages queue.
    pages: String,
}

impl Surroundings {
    /// Starts a function that gets its event from this Runtime API.
    async fn spawn(&self, function: &Path, runtime: &Runtime, memory_mb: u64) -> Child {
        let name = function.file_name().and_then(|name| name.to_str()).expect("a named file").to_owned();
        let environment = BTreeMap::from([
            ("AWS_LAMBDA_RUNTIME_API", serve(runtime.router()).await),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "k".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
            ("AWS_ENDPOINT_URL", self.dynamodb.clone()),
            ("INTERCOM_BASE_URL", self.intercom.clone()),
            ("INTERCOM_API", "1.4".to_owned()),
            ("INTERCOM_TOKEN", "a-token".to_owned()),
            ("LEDGER_TABLE", TABLE.to_owned()),
            ("PAGES_QUEUE_URL", self.pages.clone()),
            ("PAGES_DEAD_LETTERS_URL", "http://q/1/pages-dead".to_owned()),
            ("PATCHES_QUEUE_URL", "http://q/1/patches".to_owned()),
            ("PATCHES_DEAD_LETTERS_URL", "http://q/1/patches-dead".to_owned()),
            ("STACK_NAME", "bulk-eu".to_owned()),
        ]);
        let mut command = Command::new(function);
        command.env_clear().envs(environment).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}; build all binaries first", function.display()))
    }

    /// Invokes a function once in a new process, and prints what that took.
    async fn measure(&self, what: &str, function: &Path, event: Value, memory_mb: u64) -> Value {
        let runtime = Runtime::with(&event);
        let (before, began) = (self.account.counts.so_far(), Instant::now());
        let mut process = self.spawn(function, &runtime, memory_mb).await;
        let id = process.id().expect("a running process");
        let group = Share::hold(id, memory_mb);
        let not_held =
            group.as_ref().err().map(|error| format!(" NOT HELD to its share ({error}):")).unwrap_or_default();
        let answer = tokio::select! {
            answer = runtime.answer() => answer,
            end = process.wait() => panic!("{what}: the function ended without an answer ({end:?}): out of memory?"),
        };
        let (took, after, (cpu, peak_mb)) = (began.elapsed(), self.account.counts.so_far(), used(id));
        process.kill().await.expect("a running process can be killed");
        drop(group);
        let did = match answer {
            Answer::Response(did) => did,
            Answer::Error(error) => panic!("{what}: {error}"),
        };
        let calls: u64 = after.calls.values().sum::<u64>() - before.calls.values().sum::<u64>();
        println!(
            "{what:<32}{not_held} {:>6.1} s, {calls:>6} calls, {:>7.0} read units, CPU {:>5.2} s, {peak_mb:>4.0} of \
             {memory_mb} MB",
            took.as_secs_f64(),
            after.read_units - before.read_units,
            cpu.as_secs_f64(),
        );
        did
    }
}

/// Writes a run whose pages are all read, and the rows of its parts and jobs, all of which have ended. Its
/// last pages are draining, or its next generation is settling.
async fn fill(account: &Account, jobs: u64, now_ms: i64, phase: Phase) -> RunId {
    let began_ms = now_ms - (jobs / JOBS_OF_BUCKET) as i64 * 60_000;
    let id = RunId::of("all", began_ms / 1000);
    let (mut items, mut buckets) = (Vec::new(), 0);
    for first in (0..jobs).step_by(JOBS_OF_BUCKET as usize) {
        let made_ms = began_ms + (first / JOBS_OF_BUCKET) as i64 * 60_000;
        let bucket = Bucket::of(made_ms, Width::MINUTE);
        let in_bucket = JOBS_OF_BUCKET.min(jobs - first);
        items.extend((first..first + in_bucket).flat_map(|job| rows(&id, job, &bucket, made_ms)));
        items.push(counts(&id, &bucket, in_bucket as i64));
        write(account, &mut items, BATCH).await;
        buckets += 1;
    }
    write(account, &mut items, 1).await;
    println!("{} users in {jobs} jobs and {buckets} buckets", jobs * USERS_OF_JOB);
    let app_id = Options::default().app_id;
    let state = if phase == Phase::Ended { "draining" } else { "running" };
    let run = json!({"v": 2, "run": id, "plan": "all", "state": state, "generation": 1, "started_ms": began_ms,
        "deadline_ms": now_ms + 86_400_000, "workspace": {"host": "127.0.0.1", "app_id": app_id}});
    let run: Run = serde_json::from_value(run).expect("a run");
    let mut cursor = Cursor::first(id.clone(), 0, 0);
    (cursor.parts, cursor.page, cursor.phase) = (jobs, jobs as u32, phase);
    cursor.settling.since_ms = now_ms;
    cursor.tally.users = jobs * USERS_OF_JOB;
    cursor.tally.patches = jobs * USERS_OF_JOB;
    let ledger = Ledger::new(account.dynamodb.clone(), TABLE);
    let start = Start::new(&run.plan, None, began_ms / 1000, Source::All, Limits::default());
    ledger.begin(&run, &json!({}), &start, &cursor, &Active::default()).await.expect("no run is active");
    id
}

/// Returns the services around the functions, with a run in this phase.
async fn surroundings(jobs: u64, phase: Phase) -> (Surroundings, RunId) {
    let account = Account::open(None).expect("memory can be had");
    create(&account.dynamodb, TABLE).await.expect("a new account has no such table");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let run = fill(&account, jobs, now.as_millis() as i64, phase).await;
    let dynamodb = format!("http://{}", serve(account.router().layer(from_fn(later))).await);
    let intercom = format!("http://{}", serve(World::new(Options::default()).router()).await);
    let pages = account.sqs.create_queue().queue_name("pages").send().await.expect("a new queue");
    let pages = pages.queue_url.expect("a queue has a URL");
    (Surroundings { account, dynamodb, intercom, pages }, run)
}

/// Returns the event of a turn's message.
fn turn(run: &RunId) -> Value {
    let body = json!({"v": 2, "run": run, "turn": 0}).to_string();
    json!({"Records": [{"messageId": "m", "receiptHandle": "m", "body": body, "attributes": {}}]})
}

#[tokio::main]
async fn main() {
    let jobs = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(JOBS);
    let check = PathBuf::from(env!("CARGO_BIN_EXE_check"));
    let scroll = check.with_file_name("scroll");
    let (around, run) = surroundings(jobs, Phase::Ended).await;
    around.measure("scroll, a tick", &scroll, json!({"tick": {}}), SCROLL_MB).await;
    let did = around.measure("check, for the verdict", &check, json!({"tick": {}}), OTHERS_MB).await;
    assert_eq!(did["ended"][0], json!(run), "the run has not ended: {did}");
    drop(around);
    let (around, run) = surroundings(jobs, Phase::Settling).await;
    around.measure("scroll, for the next generation", &scroll, turn(&run), SCROLL_MB).await;
    let ledger = Ledger::new(around.account.dynamodb.clone(), TABLE);
    let cursor = ledger.cursor(&run).await.expect("a ledger").expect("a cursor");
    assert_eq!(cursor.generation, 2, "the next generation has not begun: {:?}", cursor.waits);
}

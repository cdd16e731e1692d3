//! Measures the accounts of a long run: ten million users in 100,000 jobs and 2,500 buckets.
//!
//! `cargo bench -p intercom-bulk-cli --bench accounts`; a number after `--` sets the jobs.
//!
//! For each reading of the accounts it prints the time, the calls and units, and the CPU time outside
//! the emulated DynamoDB. A function has the share of a core that comes with its memory (1,769 MB are
//! one core), so the last columns show that CPU time at the memory of check and of scroll, plus 10 ms
//! for each call that waits for another.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::run::{Accounts, Cursor, Run, RunId};
use intercom_bulk::ledger::{Consistency, Ledger, LedgerError, create};
use intercom_bulk_emulator::aws::Account;
use intercom_bulk_emulator::cost::{OTHERS_MB, SCROLL_MB};
use serde_json::json;

/// The allocator of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TABLE: &str = "ledger";
const JOBS: u64 = 100_000;
const USERS_OF_JOB: u64 = 100;
const JOBS_OF_BUCKET: u64 = 40;
const BEGIN_MS: i64 = 1_479_981_900_000;
/// Items per request that fills the table.
const BATCH: usize = 25;
/// The memory that comes with a whole core.
const CORE_MB: f64 = 1_769.0;
/// A call of AWS, in seconds.
const CALL_S: f64 = 0.01;
/// Buckets that the ledger reads concurrently.
const CONCURRENT: f64 = 16.0;

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
    let (pk, expires) = (format!("RUN#{run}"), ("expires_at", 1_490_000_000));
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
        ("expires_at", 1_490_000_000),
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

/// CPU time of this process (/proc/self/stat, 100 ticks a second on Linux).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// Returns the highest resident memory so far, in MB.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Reads the accounts in one way, and prints the costs.
async fn measure(
    account: &Account,
    name: &str,
    concurrent: f64,
    read: impl Future<Output = Result<Accounts, LedgerError>>,
) {
    let (before, cpu_before, began) = (account.counts.so_far(), cpu(), Instant::now());
    let memory_mb = peak_mb();
    let accounts = read.await.expect("the rows can be read");
    let (took, after) = (began.elapsed(), account.counts.so_far());
    assert!(accounts.settled(), "{name}: {} parts and {} jobs are open", accounts.parts_open, accounts.jobs_open());
    let calls: u64 = after.calls.values().sum::<u64>() - before.calls.values().sum::<u64>();
    let ours = cpu().saturating_sub(cpu_before).saturating_sub(after.busy.saturating_sub(before.busy));
    let on_lambda = |mb: u64| ours.as_secs_f64() * CORE_MB / mb as f64 + calls as f64 * CALL_S / concurrent;
    println!(
        "{name:<28} {:>6.2} s, {calls:>6} calls, {:>7.0} read units, CPU {:>5.2} s, {:>4.0} MB more; {:>4.0} s in check, \
         {:>4.0} s in scroll",
        took.as_secs_f64(),
        after.read_units - before.read_units,
        ours.as_secs_f64(),
        peak_mb() - memory_mb,
        on_lambda(OTHERS_MB),
        on_lambda(SCROLL_MB),
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let jobs = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(JOBS);
    let account = Account::open(None).expect("memory can be had");
    create(&account.dynamodb, TABLE).await.expect("a new account has no such table");
    let id = RunId::of("all", BEGIN_MS / 1000);
    let began = Instant::now();
    let (mut items, mut buckets) = (Vec::new(), 0);
    for first in (0..jobs).step_by(JOBS_OF_BUCKET as usize) {
        let made_ms = BEGIN_MS + (first / JOBS_OF_BUCKET) as i64 * 60_000;
        let bucket = Bucket::of(made_ms, Width::MINUTE);
        let in_bucket = JOBS_OF_BUCKET.min(jobs - first);
        items.extend((first..first + in_bucket).flat_map(|job| rows(&id, job, &bucket, made_ms)));
        items.push(counts(&id, &bucket, in_bucket as i64));
        write(&account, &mut items, BATCH).await;
        buckets += 1;
    }
    write(&account, &mut items, 1).await;
    println!("{} users in {jobs} jobs and {buckets} buckets, written in {:.0} s", jobs * USERS_OF_JOB, {
        began.elapsed().as_secs_f64()
    });
    let run = json!({"v": 2, "run": id, "plan": "all", "state": "draining", "generation": 1, "started_ms": BEGIN_MS,
        "deadline_ms": BEGIN_MS});
    let run: Run = serde_json::from_value(run).expect("a run");
    let mut cursor = Cursor::first(id, 0, 0);
    cursor.parts = jobs;
    let ledger = Ledger::new(account.dynamodb.clone(), TABLE);
    measure(&account, "counts, to be shown", 1.0, ledger.accounts_counted(&run, &cursor, Consistency::Eventual)).await;
    measure(&account, "counts, to decide", 1.0, ledger.accounts_counted(&run, &cursor, Consistency::Strong)).await;
    measure(&account, "what is not over", 1.0, ledger.unfinished(&run, &cursor)).await;
    measure(&account, "all rows, for the verdict", CONCURRENT, ledger.accounts(&run, &cursor)).await;
    let unended = async {
        let mut after = None;
        while let Some(some) = ledger.unended_parts(&run, 1, after.as_ref()).await? {
            assert_eq!(some.parts.len(), 0);
            after = Some(some.to);
        }
        Ok(Accounts::default())
    };
    measure(&account, "parts without an end", 1.0, unended).await;
}

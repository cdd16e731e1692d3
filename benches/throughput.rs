//! Measures the local engine against a simulated workspace in another process.
//!
//! `cargo bench -p intercom-bulk-cli` runs the first two parts. Name one to select it, like
//! `-- large`.
//!
//! * `scroll`, for several latencies of a page: users per second, the ratio to the physical limit
//!   of a serial scroll (100 users per latency), CPU time per user, memory, AWS calls and units.
//! * `limit`: the used share of the rate limit at 1,667 and at 83 operations in 10 seconds, and the
//!   cost of a million users on AWS at list prices.
//! * `large`: a run on 100,000 users.
//!
//! Compare ratios within one run; absolute figures depend on the machine.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use intercom_bulk::domain::run::{Cursor, Run, RunId};
use intercom_bulk::intercom::{Intercom, over_https};
use intercom_bulk::plan::Plan;
use intercom_bulk::rate_limit::{WINDOW_MS, window_end_ms};
use intercom_bulk::runtime::config::{Pace, Settings, WorkspaceSettings};
use intercom_bulk_cli::session::{Session, drive};
use intercom_bulk_emulator::aws::Account;
use intercom_bulk_emulator::cost::Used;
use intercom_bulk_emulator::engine::{Engine, machine_wall};
use serde_json::json;

/// The allocator of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sets a value on every user, so that each page consists of patches.
const ALL_CHANGE: &str =
    "name = \"all\"\n[set.custom_attributes.bench]\ntype = \"string\"\nvalue = \"'v' ~ user.created_at % 7\"\n";
/// Changes no user, so that only the scroll is measured.
const NONE_CHANGE: &str =
    "name = \"none\"\nwhere = \"user.id == 'x'\"\n[set.custom_attributes.bench]\ntype = \"int\"\nvalue = \"1\"\n";
/// A limit that no benchmark reaches.
const UNLIMITED: u32 = 1_000_000_000;

/// A simulated workspace in its own process, which ends when this value is dropped.
struct Simulated {
    process: Child,
    address: String,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn simulate(users: u64, latency_ms: u64, limit: u32) -> Simulated {
    let mut process = Command::new(env!("CARGO_BIN_EXE_intercom-bulk"))
        .args(["simulate", "--port", "0", "--users", &users.to_string(), "--latency-ms", &latency_ms.to_string()])
        .args(["--rate-limit-per-10s", &limit.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command of this package starts");
    let mut line = String::new();
    let out = process.stdout.take().expect("its output is piped");
    BufReader::new(out).read_line(&mut line).expect("it says where it listens");
    Simulated { process, address: line.trim().trim_start_matches("listening on ").to_owned() }
}

/// The measurements of a run.
struct Measured {
    run: Run,
    cursor: Cursor,
    took: Duration,
    cpu: Duration,
    emulator: Duration,
    account: Account,
    engine: Engine,
    /// Resident memory in MB, sampled during the run.
    memory_mb: Vec<f64>,
    /// The simulated workspace's state.
    world: serde_json::Value,
}

async fn measure(plan: &str, users: u64, latency_ms: u64, limit: u32, percent: u32) -> Measured {
    let simulated = simulate(users, latency_ms, limit);
    let setting = |name: &str| match name {
        "INTERCOM_TOKEN" => Some("bench".to_owned()),
        "INTERCOM_BASE_URL" => Some(simulated.address.clone()),
        "INTERCOM_API" => Some("1.4".to_owned()),
        "INTERCOM_QUOTA_PERCENT" => Some(percent.to_string()),
        _ => None,
    };
    let workspace = WorkspaceSettings::read(setting).expect("the bench's settings are right");
    let settings = Settings { pace: Pace::LOCAL, ..Settings::read(setting).expect("the bench's settings are right") };
    let transport = over_https(Duration::from_secs(5)).expect("the machine has root certificates");
    let token = workspace.token.here().expect("the token is set above");
    let intercom = Intercom::new(transport, workspace.base_url.clone(), token, workspace.api);
    let account = Account::open(None).expect("memory can be had");
    let engine = Engine::open(&account.dynamodb, &account.sqs, intercom, settings, machine_wall());
    let mut engine = engine.await.expect("the emulated account takes a table and queues");
    // Few ticks, so that their share of reads and writes is as on AWS, where they run each minute.
    engine.ticks = (Duration::from_mins(1), Duration::from_secs(10));
    let plan = Plan::from_toml("bench", plan).expect("the bench's plan is right");
    let event = json!({"plan": plan.to_json(), "time": "2016-11-24T10:05:00Z"});
    let cpu_before = cpu();
    let samples = Arc::new(Mutex::new(Vec::new()));
    let memory = tokio::spawn({
        let samples = Arc::clone(&samples);
        async move {
            loop {
                samples.lock().unwrap_or_else(PoisonError::into_inner).push(resident_mb());
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    });
    let session = drive(&engine, event, &RunId::of(plan.name(), 1_479_981_900), true).await;
    memory.abort();
    let memory_mb = samples.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let world = state(&simulated.address).await;
    match session.expect("the run is driven to its end") {
        Session::Interrupted => std::process::exit(1),
        Session::Over { run, cursor, took } => Measured {
            run: *run,
            cursor: *cursor,
            took,
            cpu: cpu().saturating_sub(cpu_before),
            emulator: account.counts.so_far().busy,
            account,
            engine,
            memory_mb,
            world,
        },
    }
}

async fn state(address: &str) -> serde_json::Value {
    let answer = reqwest::get(format!("{address}/_simulator/state")).await.expect("the simulator answers");
    serde_json::from_slice(&answer.bytes().await.expect("it answers whole")).expect("its state is JSON")
}

/// Returns the CPU time of all threads of this process (/proc/self/stat, 100 ticks a second on
/// Linux).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses come the state, ten fields, then utime and stime.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

impl Measured {
    fn users_per_s(&self) -> f64 {
        self.cursor.tally.users as f64 / self.took.as_secs_f64()
    }

    fn calls(&self, operations: &[&str]) -> f64 {
        let calls = self.account.counts.so_far().calls;
        operations.iter().filter_map(|operation| calls.get(*operation)).sum::<u64>() as f64
    }

    fn used(&self) -> Used {
        let sqs = [
            "SendMessage",
            "SendMessageBatch",
            "ReceiveMessage",
            "DeleteMessage",
            "DeleteMessageBatch",
            "ChangeMessageVisibility",
        ];
        Used {
            invocations: self.engine.done.invocations.load(Ordering::Relaxed) as f64,
            gb_seconds: self.engine.done.busy_mb_ms.load(Ordering::Relaxed) as f64 / 1000.0 / 1024.0,
            sqs_requests: self.calls(&sqs),
            write_units: self.account.counts.so_far().write_units,
            read_units: self.account.counts.so_far().read_units,
        }
    }

    fn report(&self, latency_ms: u64) {
        let users = self.cursor.tally.users.max(1) as f64;
        let pages = f64::from(self.cursor.page.max(1));
        let rate = self.users_per_s();
        let physical = if latency_ms == 0 { f64::INFINITY } else { 100.0 * 1000.0 / latency_ms as f64 };
        let share = if latency_ms == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * rate / physical) };
        let steps = self.cpu.saturating_sub(self.emulator);
        let used = self.used();
        println!(
            "{latency_ms:>4} ms a page: {rate:>8.0} users/s, {share:>7} of 100/latency; CPU {:.0} µs a user, {:.0} of them outside \
             the emulated DynamoDB; a page: {:.1} SQS calls, {:.1} write and {:.1} read units; {}",
            self.cpu.as_secs_f64() * 1e6 / users,
            steps.as_secs_f64() * 1e6 / users,
            used.sqs_requests / pages,
            used.write_units / pages,
            used.read_units / pages,
            self.run.state,
        );
    }
}

async fn scrolls() {
    println!("Scroll alone (no user changes):");
    for (latency_ms, users) in [(0, 50_000), (20, 30_000), (200, 6_000)] {
        let mut measured = measure(NONE_CHANGE, users, latency_ms, UNLIMITED, 100).await;
        // The scroll ends at the last page. Check finds the end at its next tick, up to a second
        // later.
        let last_ms = measured.engine.done.last_page_ms.load(Ordering::Relaxed);
        measured.took = Duration::from_millis((last_ms - measured.run.started_ms).max(1) as u64);
        measured.report(latency_ms);
    }
}

async fn quota(limit: u32, users: u64) {
    let measured = measure(ALL_CHANGE, users, 100, limit, 100).await;
    let jobs = measured.engine.done.jobs.load(Ordering::Relaxed) as f64;
    let used = measured.used();
    // The first and the last window of a run are incomplete.
    let first = window_end_ms(measured.run.started_ms) + WINDOW_MS;
    let last = window_end_ms(measured.engine.done.last_job_ms.load(Ordering::Relaxed)) - WINDOW_MS;
    let whole: Vec<i64> = (first..=last).step_by(WINDOW_MS as usize).collect();
    // The workspace's count: permits that were taken but not used do not count as use.
    let used_in = |end_ms: &i64| measured.world["used_by_window"][(end_ms / 1000).to_string()].as_u64().unwrap_or(0);
    let spent: u64 = whole.iter().map(used_in).sum();
    let windows = whole.len();
    println!(
        "{limit:>5} in 10 s: {:.1} % of it used over {windows} whole windows; {jobs} jobs of {:.0} users; {} refusals for the \
         rate limit; {}",
        100.0 * spent as f64 / (f64::from(limit) * windows.max(1) as f64),
        users as f64 / jobs,
        measured.world["over_limit"],
        measured.run.state,
    );
    let per_job = |value: f64| value / jobs;
    println!(
        "       a job: {:.1} SQS calls, {:.1} write and {:.1} read units, {:.2} invocations; $ {:.3} per million users all changed",
        per_job(used.sqs_requests),
        per_job(used.write_units),
        per_job(used.read_units),
        per_job(used.invocations),
        used.dollars() * 1e6 / users as f64,
    );
}

async fn large() {
    println!("100,000 users, all changed, no rate limit:");
    let measured = measure(ALL_CHANGE, 100_000, 5, UNLIMITED, 100).await;
    measured.report(5);
    let memory = &measured.memory_mb;
    let at = |share: f64| memory.get((memory.len() as f64 * share) as usize).copied().unwrap_or(0.0);
    println!(
        "       resident memory, engine with its in-memory ledger: {:.0} MB at a quarter, {:.0} MB at half, {:.0} MB at the end",
        at(0.25),
        at(0.5),
        memory.last().copied().unwrap_or(0.0),
    );
}

#[tokio::main]
async fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| asked.iter().any(|name| name == part);
    if asked.is_empty() || wanted("scroll") {
        scrolls().await;
    }
    if asked.is_empty() || wanted("limit") {
        println!("The whole rate limit (INTERCOM_QUOTA_PERCENT=100), every user changes:");
        quota(1_667, 12_000).await;
        quota(83, 700).await;
    }
    if wanted("large") {
        large().await;
    }
}

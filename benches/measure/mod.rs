//! A run of the local engine on a simulated workspace in another process, and what it used.

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
use tokio::sync::watch;

/// Sets a value on every user, so that each page consists of patches.
pub(crate) const ALL_CHANGE: &str =
    "name = \"all\"\n[set.custom_attributes.bench]\ntype = \"string\"\nvalue = \"'v' ~ user.created_at % 7\"\n";
/// Changes no user, so that only the reading is measured.
pub(crate) const NONE_CHANGE: &str =
    "name = \"none\"\nwhere = \"user.id == 'x'\"\n[set.custom_attributes.bench]\ntype = \"int\"\nvalue = \"1\"\n";
/// A limit that no benchmark reaches.
pub(crate) const UNLIMITED: u32 = 1_000_000_000;

/// A run to measure.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) plan: &'static str,
    pub(crate) users: u64,
    /// Milliseconds of an answer, in addition to the times of `options`.
    pub(crate) latency_ms: u64,
    /// Operations in 10 seconds.
    pub(crate) limit: u32,
    pub(crate) percent: u32,
    pub(crate) api: &'static str,
    /// Options of the simulator.
    pub(crate) options: &'static [&'static str],
    /// Engines that work on the same ledger and queues, each with its own rate limiter as a process of
    /// its own has.
    pub(crate) engines: usize,
}

/// A simulated workspace in its own process, which ends when this value is dropped.
pub(crate) struct Simulated {
    process: Child,
    address: String,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn simulate(setup: Setup) -> Simulated {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intercom-bulk"));
    command
        .args(["simulate", "--port", "0", "--users", &setup.users.to_string()])
        .args(["--latency-ms", &setup.latency_ms.to_string()])
        .args(["--rate-limit-per-10s", &setup.limit.to_string()]);
    for option in setup.options {
        command.args(["--option", option]);
    }
    let mut process =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the command of this package starts");
    let mut line = String::new();
    let out = process.stdout.take().expect("its output is piped");
    BufReader::new(out).read_line(&mut line).expect("it says where it listens");
    Simulated { process, address: line.trim().trim_start_matches("listening on ").to_owned() }
}

/// The measurements of a run.
pub(crate) struct Measured {
    pub(crate) run: Run,
    pub(crate) cursor: Cursor,
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
    /// CPU time of the emulated DynamoDB.
    pub(crate) emulator: Duration,
    pub(crate) account: Account,
    pub(crate) engine: Engine,
    /// Resident memory in MB, sampled during the run.
    pub(crate) memory_mb: Vec<f64>,
    /// The simulated workspace's state.
    pub(crate) world: serde_json::Value,
}

async fn engine(account: &Account, address: &str, setup: Setup) -> Engine {
    let setting = |name: &str| match name {
        "INTERCOM_TOKEN" => Some("bench".to_owned()),
        "INTERCOM_BASE_URL" => Some(address.to_owned()),
        "INTERCOM_API" => Some(setup.api.to_owned()),
        "INTERCOM_QUOTA_PERCENT" => Some(setup.percent.to_string()),
        _ => None,
    };
    let workspace = WorkspaceSettings::read(setting).expect("the bench's settings are right");
    let settings = Settings { pace: Pace::LOCAL, ..Settings::read(setting).expect("the bench's settings are right") };
    let transport = over_https(Duration::from_secs(5)).expect("the machine has root certificates");
    let token = workspace.token.here().expect("the token is set above");
    let intercom = Intercom::new(transport, workspace.base_url.clone(), token, workspace.api);
    let engine = Engine::open(&account.dynamodb, &account.sqs, intercom, settings, machine_wall());
    let mut engine = engine.await.expect("the emulated account takes a table and queues");
    // Few ticks, so that their share of reads and writes is as on AWS, where they run each minute.
    engine.ticks = (Duration::from_mins(1), Duration::from_secs(10));
    engine
}

/// Carries out the run of a setup.
pub(crate) async fn measure(setup: Setup) -> Measured {
    let simulated = simulate(setup);
    let account = Account::open(None).expect("memory can be had");
    let engine = engine(&account, &simulated.address, setup).await;
    let (stop, stopped) = watch::channel(false);
    let mut others = Vec::new();
    for _ in 1..setup.engines {
        let other = self::engine(&account, &simulated.address, setup).await;
        let stopped = stopped.clone();
        others.push(tokio::spawn(async move { other.run(stopped).await }));
    }
    let plan = Plan::from_toml("bench", setup.plan).expect("the bench's plan is right");
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
    let _ = stop.send(true);
    for other in others {
        other.await.expect("an engine ends without a panic");
    }
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
    /// Returns the most resident memory, in MB.
    pub(crate) fn peak_mb(&self) -> f64 {
        self.memory_mb.iter().copied().fold(0.0, f64::max)
    }

    /// Returns the CPU time for one of so many users without that of the emulated DynamoDB, in microseconds.
    pub(crate) fn cpu_us_per(&self, users: u64) -> f64 {
        self.cpu.saturating_sub(self.emulator).as_secs_f64() * 1e6 / users as f64
    }

    fn calls(&self, operations: &[&str]) -> f64 {
        let calls = self.account.counts.so_far().calls;
        operations.iter().filter_map(|operation| calls.get(*operation)).sum::<u64>() as f64
    }

    pub(crate) fn used(&self) -> Used {
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

    /// Returns the used share of the rate limit in percent over the whole windows of the run, and
    /// their number. It is the workspace's count: permits that were taken but not used are no use.
    pub(crate) fn quota(&self, limit: u32) -> (f64, usize) {
        // The first and the last window of a run are incomplete.
        let first = window_end_ms(self.run.started_ms) + WINDOW_MS;
        let last = window_end_ms(self.engine.done.last_job_ms.load(Ordering::Relaxed)) - WINDOW_MS;
        let whole: Vec<i64> = (first..=last).step_by(WINDOW_MS as usize).collect();
        let used_in = |end_ms: &i64| self.world["used_by_window"][(end_ms / 1000).to_string()].as_u64().unwrap_or(0);
        let spent: u64 = whole.iter().map(used_in).sum();
        (100.0 * spent as f64 / (f64::from(limit) * whole.len().max(1) as f64), whole.len())
    }
}

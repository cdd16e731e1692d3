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

use std::sync::atomic::Ordering;
use std::time::Duration;

use measure::{ALL_CHANGE, Measured, NONE_CHANGE, Setup, UNLIMITED, measure};

mod measure;

/// The allocator of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn setup(plan: &'static str, users: u64, latency_ms: u64, limit: u32) -> Setup {
    Setup { plan, users, latency_ms, limit, percent: 100, api: "1.4", options: &[], engines: 1 }
}

fn report(measured: &Measured, latency_ms: u64) {
    let count = measured.cursor.tally.users.max(1);
    let users = count as f64;
    let pages = f64::from(measured.cursor.page.max(1));
    let rate = users / measured.took.as_secs_f64();
    let physical = if latency_ms == 0 { f64::INFINITY } else { 100.0 * 1000.0 / latency_ms as f64 };
    let share = if latency_ms == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * rate / physical) };
    let used = measured.used();
    println!(
        "{latency_ms:>4} ms a page: {rate:>8.0} users/s, {share:>7} of 100/latency; CPU {:.0} µs a user, {:.0} of them outside \
         the emulated DynamoDB; a page: {:.1} SQS calls, {:.1} write and {:.1} read units; {}",
        measured.cpu.as_secs_f64() * 1e6 / users,
        measured.cpu_us_per(count),
        used.sqs_requests / pages,
        used.write_units / pages,
        used.read_units / pages,
        measured.run.state,
    );
}

async fn scrolls() {
    println!("Scroll alone (no user changes):");
    for (latency_ms, users) in [(0, 50_000), (20, 30_000), (200, 6_000)] {
        let mut measured = measure(setup(NONE_CHANGE, users, latency_ms, UNLIMITED)).await;
        // The scroll ends at the last page. Check finds the end at its next tick, up to a second
        // later.
        let last_ms = measured.engine.done.last_page_ms.load(Ordering::Relaxed);
        measured.took = Duration::from_millis((last_ms - measured.run.started_ms).max(1) as u64);
        report(&measured, latency_ms);
    }
}

async fn quota(limit: u32, users: u64) {
    let measured = measure(setup(ALL_CHANGE, users, 100, limit)).await;
    let jobs = measured.engine.done.jobs.load(Ordering::Relaxed) as f64;
    let used = measured.used();
    let (share, windows) = measured.quota(limit);
    println!(
        "{limit:>5} in 10 s: {share:.1} % of it used over {windows} whole windows; {jobs} jobs of {:.0} users; {} refusals for the \
         rate limit; {}",
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
    let measured = measure(setup(ALL_CHANGE, 100_000, 5, UNLIMITED)).await;
    report(&measured, 5);
    let memory = &measured.memory_mb;
    let at = |share: f64| memory.get((memory.len() as f64 * share) as usize).copied().unwrap_or(0.0);
    println!(
        "       resident memory, engine with its in-memory ledger: {:.0} MB at a quarter, {:.0} MB at half, {:.0} MB at the end, \
         {:.0} MB at most",
        at(0.25),
        at(0.5),
        memory.last().copied().unwrap_or(0.0),
        measured.peak_mb(),
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

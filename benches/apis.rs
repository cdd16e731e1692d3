//! Compares the APIs: a run's requests, quota, time, memory, AWS calls and cost on each, and the speed
//! of API 2.x against its limits.
//!
//! `cargo bench -p intercom-bulk-cli --bench apis` runs all parts. Name one to select it, like
//! `-- table`. The answers take the recorded times of `infra/simulator` (a write 110 ms, and one in
//! a hundred 270 ms; a page of a list 150 ms).
//!
//! * `table`: 10,000 users of whom all change, at the usual rate limit, on each API.
//! * `quota`: the used share of the rate limit with `INTERCOM_QUOTA_PERCENT=100` on API 2.17, of one
//!   engine and of two on one ledger, and the refusals that they cause.
//! * `writing`: the writes of API 2.17 without a rate limit, whose speed the number of requests in flight
//!   (`AT_ONCE` of the submit step) determines.
//! * `reading`: pages of a list, of which each takes the same time, against 150 users per latency.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::sync::atomic::Ordering;

use measure::{ALL_CHANGE, NONE_CHANGE, Setup, UNLIMITED, measure};

mod measure;

/// The allocator of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Operations in 10 seconds of a workspace of today.
const LIMIT: u32 = 1_667;
/// The times of answers that were recorded, and the attribute that the plans set.
const RECORDED: &[&str] = &["server-times=recorded", "attribute=bench:string"];
/// The recorded time of a page of a list (the median).
const PAGE_MS: u64 = 150;
/// The users of a page of a list.
const PAGE: f64 = 150.0;

async fn table() {
    println!("10,000 users, all change, {LIMIT} operations in 10 s, of which 80 % are used:");
    println!(
        "{:<8} {:>8} {:>8} {:>7} {:>7} {:>10} {:>9} {:>9} {:>9} {:>8} {:>9}",
        "API", "requests", "quota", "time s", "MB", "CPU µs/u.", "invoked", "SQS", "writes", "reads", "dollars"
    );
    for (api, options) in [("1.4", &[][..]), ("2.17", RECORDED), ("preview", RECORDED)] {
        // API 1.x has no recorded times: its answers take those of a bulk request.
        let latency_ms = if options.is_empty() { 250 } else { 0 };
        let setup =
            Setup { plan: ALL_CHANGE, users: 10_000, latency_ms, limit: LIMIT, percent: 80, api, options, engines: 1 };
        let measured = measure(setup).await;
        let requests: u64 = values(&measured.world["requests"]);
        let quota: u64 = values(&measured.world["used_by_window"]);
        let used = measured.used();
        println!(
            "{api:<8} {requests:>8} {quota:>8} {:>7.1} {:>7.0} {:>10.0} {:>9} {:>9} {:>9.0} {:>8.0} {:>9.5}  {}",
            measured.took.as_secs_f64(),
            measured.peak_mb(),
            measured.cpu_us_per(10_000),
            used.invocations,
            used.sqs_requests,
            used.write_units,
            used.read_units,
            used.dollars(),
            measured.run.state,
        );
    }
}

/// Returns the sum of an object's numbers.
fn values(object: &serde_json::Value) -> u64 {
    object.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_u64()).sum()
}

async fn quota() {
    println!("API 2.17, the whole rate limit (INTERCOM_QUOTA_PERCENT=100), every user changes:");
    for engines in [1, 2] {
        let setup = Setup {
            plan: ALL_CHANGE,
            users: 54_000,
            latency_ms: 0,
            limit: LIMIT,
            percent: 100,
            api: "2.17",
            options: RECORDED,
            engines,
        };
        let measured = measure(setup).await;
        let (share, windows) = measured.quota(LIMIT);
        println!(
            "{engines} at work: {share:.1} % used over {windows} whole windows; {} refusals for the rate limit; {}",
            measured.world["over_limit"], measured.run.state,
        );
    }
}

async fn writing() {
    let setup = Setup {
        plan: ALL_CHANGE,
        users: 6_000,
        latency_ms: 0,
        limit: UNLIMITED,
        percent: 100,
        api: "2.17",
        options: RECORDED,
        engines: 1,
    };
    let measured = measure(setup).await;
    let seconds = measured.took.as_secs_f64();
    println!(
        "API 2.17, without a rate limit: {:.0} users/s in all; CPU {:.0} µs per user, {:.0} MB; {}",
        setup.users as f64 / seconds,
        measured.cpu_us_per(setup.users),
        measured.peak_mb(),
        measured.run.state,
    );
}

async fn reading() {
    println!("API 2.17, reading alone (no user changes), each page in {PAGE_MS} ms:");
    let setup = Setup {
        plan: NONE_CHANGE,
        users: 60_000,
        latency_ms: PAGE_MS,
        limit: UNLIMITED,
        percent: 100,
        api: "2.17",
        options: &["attribute=bench:integer"],
        engines: 1,
    };
    let measured = measure(setup).await;
    let last_ms = measured.engine.done.last_page_ms.load(Ordering::Relaxed);
    let took_ms = (last_ms - measured.run.started_ms).max(1) as f64;
    let rate = measured.cursor.tally.users as f64 * 1_000.0 / took_ms;
    let share = 100.0 * rate / (PAGE * 1_000.0 / PAGE_MS as f64);
    let between_ms = took_ms / f64::from(measured.cursor.page.max(1)) - PAGE_MS as f64;
    let cpu_ms = measured.cpu.as_secs_f64() * 1e3 / f64::from(measured.cursor.page.max(1));
    println!(
        "{rate:.0} users/s, {share:.1} % of {PAGE:.0} per {PAGE_MS} ms; between two pages {between_ms:.1} ms, CPU per page \
         {cpu_ms:.1} ms; {}",
        measured.run.state
    );
}

#[tokio::main]
async fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| asked.is_empty() || asked.iter().any(|name| name == part);
    if wanted("table") {
        table().await;
    }
    if wanted("writing") {
        writing().await;
    }
    if wanted("reading") {
        reading().await;
    }
    if wanted("quota") {
        quota().await;
    }
}

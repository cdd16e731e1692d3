//! The pace of a run: users written per minute, in any aligned minute and over all processes.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use intercom_bulk::domain::api::BulkCharge;
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::{RunId, State};
use intercom_bulk::ledger::{self, Ledger};
use intercom_bulk::rate_limit::{Deadline, Lane, MINUTE_MS, Permit, PermitRequest, RateLimiter, RunPace};
use intercom_bulk_emulator::aws::Account;
use intercom_simulator::{Fault, Options};
use serde_json::json;
use tokio::time::Instant;

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users, with_attributes};
use crate::report::Report;

/// Minutes over which a run must use its pace.
const MINUTES: usize = 10;
/// The least share of the pace that these minutes use, in percent.
const USED_PERCENT: u64 = 90;

/// Runs a plan on so many users that it takes at least `MINUTES` at this pace.
async fn run_at(pace: u32, options: Options) -> Report {
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let report = pipeline.run(json!({"limits": {"max_per_minute": pace}})).await;
    report.assert_complete();
    assert_eq!(report.run.limits.max_per_minute, NonZeroU32::new(pace), "the run stores it");
    report
}

/// Returns the users in jobs by the minute in which Intercom created them.
fn by_minute(report: &Report) -> BTreeMap<i64, u64> {
    let mut minutes: BTreeMap<i64, u64> = BTreeMap::new();
    for job in &report.world.jobs {
        *minutes.entry(job.created_at_ms.div_euclid(MINUTE_MS)).or_default() += job.items as u64;
    }
    minutes
}

fn assert_paced(pace: u32, minutes: &BTreeMap<i64, u64>) {
    let over = minutes.iter().find(|(_, users)| **users > pace.into());
    assert_eq!(over, None, "at most {pace} users a minute: {minutes:?}");
    assert!(minutes.len() > MINUTES + 1, "{minutes:?}");
    // The first and the last minute of a run are incomplete.
    let first = *minutes.keys().next().unwrap() + 1;
    let used: u64 = minutes.range(first..first + MINUTES as i64).map(|(_, users)| users).sum();
    let share = used * 100 / (u64::from(pace) * MINUTES as u64);
    assert!(share >= USED_PERCENT, "{share} % of {pace} users a minute: {minutes:?}");
}

/// The cases are below a page's part, not a multiple of a job's users, and above a rate window.
#[tokio::test(start_paused = true)]
async fn run_uses_its_pace_and_never_exceeds_it() {
    for (pace, count) in [(1, 15), (7, 100), (60, 900), (150, 2_300), (250, 3_600)] {
        let options = Options { latency_ms: 120, job_delay_s: 2, ..users(count) };
        let report = run_at(pace, options).await;
        assert_paced(pace, &by_minute(&report));
        let most = report.world.jobs.iter().map(|job| job.items).max();
        assert!(most <= Some(pace.min(100) as usize), "jobs are as small as the pace: {most:?}");
        // A minute's users need few jobs, although parts are sent in pieces.
        let jobs = report.world.jobs.len() as u64;
        let minutes = by_minute(&report).len() as u64;
        assert!(jobs <= minutes * (u64::from(pace).div_ceil(100) + 2), "{pace}: {jobs} jobs in {minutes} minutes");
    }
}

/// Each write takes longer than a user's share of a minute, so windows end with unused permits. One is
/// refused by the rate limit.
#[tokio::test(start_paused = true)]
async fn writes_of_one_user_use_the_pace_and_never_exceed_it() {
    let pace = 600;
    let faults = vec!["limit-call=write:1000".parse::<Fault>().unwrap()];
    let options = Options { latency_ms: 1_500, faults, ..with_attributes(&["has avatar:boolean"], users(8_500)) };
    let pipeline = Pipeline::of_version("2.17", HAS_AVATAR, options).await;
    let report = pipeline.run(json!({"limits": {"max_per_minute": pace}})).await;
    report.assert_complete();
    let (now, now_ms) = (Instant::now(), pipeline.engine.now_ms());
    let mut minutes: BTreeMap<i64, u64> = BTreeMap::new();
    for at in pipeline.way.puts() {
        *minutes.entry((now_ms - (now - at).as_millis() as i64).div_euclid(MINUTE_MS)).or_default() += 1;
    }
    assert_paced(pace, &minutes);
    assert_eq!(report.world.given_429, 1);
}

/// Every fourth request is refused by the rate limit, which has room again ten seconds later.
#[tokio::test(start_paused = true)]
async fn request_without_effect_costs_no_users_of_its_minute() {
    for (version, pace, count) in [("1.1", 20, 300), ("2.17", 3, 45), ("preview", 20, 300)] {
        let run = async |is_limited: bool| {
            let request = if version == "2.17" { "limit-call=write:" } else { "limit-bulk=" };
            let limit = |call: usize| format!("{request}{call}").parse::<Fault>().unwrap();
            let faults = if is_limited { (2..200).step_by(4).map(limit).collect() } else { Vec::new() };
            let options = Options { faults, ..with_attributes(&["has avatar:boolean"], users(count)) };
            let pipeline = Pipeline::of_version(version, HAS_AVATAR, options).await;
            let report = pipeline.run(json!({"limits": {"max_per_minute": pace}})).await;
            report.assert_complete();
            (report.seconds, report.world.given_429)
        };
        let ((free_s, none), (limited_s, given_429)) = (run(false).await, run(true).await);
        assert!(none == 0 && given_429 >= 4, "{version}: {given_429}");
        assert!(limited_s < free_s + 60, "{version}: {limited_s} s with {given_429} 429s, and {free_s} s without");
    }
}

/// Some requests fail, and some users are sent again.
#[tokio::test(start_paused = true)]
async fn pace_holds_during_failures() {
    let mut faults = vec![Fault::ItemLimited(5.0)];
    faults.extend((2..30).step_by(4).flat_map(|job| {
        [
            Fault::ErrorBulk(job),
            Fault::LoseBulk(job + 1),
            Fault::LimitBulk(job + 2),
            Fault::SlowJob { job, seconds: 90 },
        ]
    }));
    let options = Options { rate_limit_per_10s: 83, latency_ms: 200, faults, ..users(900) };
    let report = run_at(60, options).await;
    let over = by_minute(&report).into_iter().find(|(_, users)| *users > 60);
    assert_eq!(over, None);
}

#[tokio::test(start_paused = true)]
async fn pace_above_the_rate_limit_changes_nothing() {
    let options = || Options { rate_limit_per_10s: 83, ..users(900) };
    let paced = run_at(10_000, options()).await;
    let free = Pipeline::new(HAS_AVATAR, options()).await.run(serde_json::Value::Null).await;
    assert_eq!((paced.jobs.len(), paced.seconds), (free.jobs.len(), free.seconds));
}

/// The deadline is so near that the users of a few pages need the time until then.
#[tokio::test(start_paused = true)]
async fn reading_ends_in_time_for_the_queue() {
    let options = Options { latency_ms: 700, job_delay_s: 2, ..users(900) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(json!({"limits": {"max_per_minute": 20}})).await;
    pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= 3)).await;
    let ledger = &pipeline.engine.clients.ledger;
    let row = ledger.run(&run).await.unwrap().unwrap();
    let deadline_ms = pipeline.engine.now_ms() + 38 * MINUTE_MS;
    ledger.extend_deadline(&row, deadline_ms).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    let told = ["reading ended", "queued users need", "of 900 users were read"];
    assert!(told.iter().all(|text| report.reason().contains(text)), "{}", report.reason());
    assert!(report.cursor.tally.users < 900 && report.run.ended_ms.unwrap() < deadline_ms, "{:?}", report.run);
    assert_eq!(report.world.items, report.cursor.tally.patches, "all that was queued is sent");
    report.assert_nobody_lost();
}

/// Two processes take users of the same minute at the same time.
#[tokio::test(start_paused = true)]
async fn processes_share_the_pace_of_a_run() {
    let account = Account::open(None).unwrap();
    ledger::create(&account.dynamodb, "ledger").await.unwrap();
    let ledger = Ledger::new(account.dynamodb.clone(), "ledger");
    ledger.store_limit(1_667).await.unwrap();
    let processes = [0, 1].map(|_| RateLimiter::new(ledger.clone(), 100));
    let pace = RunPace { run: RunId::of("p", 0), per_minute: 100 };
    let other = RunPace { run: RunId::of("q", 0), per_minute: 100 };
    let clock = Clock::starting_at(20 * MINUTE_MS + 1_000);
    let acquire = async |process: &RateLimiter, pace: &RunPace, least, most| {
        let deadline = Deadline { clock, until_ms: clock.now_ms() + 1_000, stop: None };
        let lane = Lane::Submit { reads: false };
        let request = PermitRequest { lane, least, most, ahead: most, charge: BulkCharge::Item };
        process.acquire_paced(pace, request, &deadline).await.unwrap()
    };
    let [first, second] = &processes;
    let granted = |permits, begin_ms: i64| Permit::Granted { permits, end_ms: begin_ms + 10_000 };
    let (now_ms, next_ms) = (20 * MINUTE_MS, 21 * MINUTE_MS);
    assert_eq!(acquire(first, &pace, 50, 60).await, granted(60, now_ms));
    assert_eq!(acquire(second, &pace, 50, 100).await, granted(40, now_ms), "a part of the request");
    assert_eq!(acquire(first, &pace, 1, 1).await, Permit::Wait(next_ms));
    assert_eq!(acquire(first, &other, 100, 100).await, granted(100, now_ms), "another run has its own minute");
    second.give_back_minute(&pace, next_ms, 7);
    assert_eq!(acquire(second, &pace, 50, 100).await, Permit::Wait(next_ms), "less than a tenth is not worth a job");
    assert_eq!(acquire(second, &pace, 1, 5).await, granted(5, now_ms));
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    assert_eq!(acquire(second, &pace, 1, 100).await, granted(100, next_ms), "the next minute, without the old rest");
}

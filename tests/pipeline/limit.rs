//! The rate limit by recorded answers of Intercom: its headers, and other programs that use it.

use std::time::Duration;

use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::State;
use intercom_bulk::intercom::{Limited, Rate, RateReport};
use intercom_bulk::ledger::{self, Ledger};
use intercom_bulk::rate_limit::{Deadline, Lane, Permit, PermitRequest, RateLimiter, window_end_ms};
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk_emulator::aws::Account;
use intercom_simulator::{Choice, Fault, Options};
use serde_json::json;
use tokio::time::advance;

use crate::intercom::Closed;
use crate::pipeline::Pipeline;
use crate::plans::{PLAN_PRICE, users};

/// The start of a window, in Unix milliseconds.
const WINDOW_MS: i64 = 1_478_000_000_000;
const LIMIT: u32 = 100;

/// Two processes with one budget, a second into a window.
struct Two {
    at: Invocation,
    ledger: Ledger,
    first: RateLimiter,
    second: RateLimiter,
    _account: Account,
}

impl Two {
    async fn new() -> Self {
        let account = Account::open(None).unwrap();
        ledger::create(&account.dynamodb, "ledger").await.unwrap();
        let ledger = Ledger::new(account.dynamodb.clone(), "ledger");
        ledger.store_limit(LIMIT).await.unwrap();
        let clock = Clock::starting_at(WINDOW_MS + 1_000);
        let at = Invocation { clock, request_id: "r".to_owned(), deadline_ms: WINDOW_MS + 1_000_000, stop: None };
        let [first, second] = [0, 1].map(|_| RateLimiter::new(ledger.clone(), 100));
        Self { at, ledger, first, second, _account: account }
    }

    /// Takes between one and `most` operations. Returns the number of permits.
    async fn take(&self, limiter: &RateLimiter, most: u32) -> u32 {
        let ask = PermitRequest { most, ahead: most, ..PermitRequest::one(Lane::Check) };
        match limiter.try_acquire(ask, self.at.clock).await.unwrap() {
            Permit::Granted { permits, .. } => permits,
            Permit::Wait(_) => 0,
        }
    }

    /// The second process reads the headers of an answer to a request of `operations`.
    async fn learns(&self, operations: u32, remaining: u32, reset_at_s: i64) {
        let rate = Rate { limit: LIMIT, remaining, reset_at_s };
        self.second.report(RateReport { rate: Some(rate), limited: None }, operations).await;
    }

    async fn spent(&self) -> (u32, u32) {
        let window = self.ledger.window(WINDOW_MS + 10_000).await.unwrap();
        (window.spent, window.spent_by_others)
    }
}

const END_S: i64 = WINDOW_MS / 1000 + 10;

#[tokio::test(start_paused = true)]
async fn header_reveals_other_programs_requests() {
    for late_s in [0, 2] {
        let two = Two::new().await;
        assert_eq!((two.take(&two.first, 30).await, two.take(&two.second, 1).await), (30, 1));
        // All own operations, and 20 of another program.
        two.learns(1, LIMIT - 51, END_S + late_s).await;
        assert_eq!(two.spent().await, (51, 20), "reset {late_s} s late");
        assert_eq!(two.take(&two.first, 100).await, 49, "what is left for all");
        // The same header again changes nothing.
        two.learns(1, LIMIT - 51, END_S + late_s).await;
        assert_eq!(two.spent().await, (100, 20));
    }
}

/// Other requests of the process are under way while the ledger is written.
#[tokio::test(start_paused = true)]
async fn process_heeds_an_answer_before_the_ledger_has_it() {
    let two = Two::new().await;
    assert_eq!(two.take(&two.second, 1).await, 1);
    let rate = Some(Rate { limit: LIMIT, remaining: 20, reset_at_s: END_S });
    let stores = two.second.report(RateReport { rate, limited: None }, 1);
    assert_eq!(two.take(&two.second, 15).await, 15, "of the 20 that the header leaves");
    assert_eq!(two.take(&two.second, 100).await, 5);
    stores.await;
    assert_eq!(two.spent().await, (100, 79));
    let stores = two.second.report(RateReport { rate: None, limited: Some(Limited { retry_after_s: Some(15) }) }, 1);
    assert_eq!(two.second.closed_until_ms(), WINDOW_MS + 16_000);
    stores.await;
}

/// An answer with the whole limit shows that answers do not count their own request.
#[tokio::test(start_paused = true)]
async fn request_missing_from_its_header_is_added() {
    let two = Two::new().await;
    assert_eq!(two.take(&two.second, 1).await, 1);
    two.learns(1, LIMIT, END_S).await;
    assert_eq!(two.spent().await, (1, 0));
    assert_eq!(two.take(&two.second, 40).await, 40);
    // 15 operations of another program before a request of 40 that the header does not count.
    two.learns(40, LIMIT - 16, END_S).await;
    assert_eq!(two.spent().await, (56, 15));
}

#[tokio::test(start_paused = true)]
async fn no_header_form_invents_another_program() {
    for (first, second, third) in [(LIMIT, LIMIT - 1, LIMIT - 71), (LIMIT - 1, LIMIT - 41, LIMIT - 72)] {
        let two = Two::new().await;
        assert_eq!(two.take(&two.second, 1).await, 1);
        two.learns(1, first, END_S).await;
        assert_eq!(two.take(&two.second, 40).await, 40);
        two.learns(40, second, END_S).await;
        assert_eq!(two.spent().await, (41, 0), "{first} {second}");
        // The second process sees the first one's requests only through the header.
        assert_eq!((two.take(&two.first, 30).await, two.take(&two.second, 1).await), (30, 1));
        two.learns(1, third, END_S).await;
        assert_eq!(two.spent().await, (72, 0));
    }
}

/// Intercom has not seen permits that are prepaid and unused.
#[tokio::test(start_paused = true)]
async fn prepaid_permits_are_added_to_a_header() {
    let two = Two::new().await;
    let ahead = PermitRequest { ahead: 30, ..PermitRequest::one(Lane::Check) };
    assert!(matches!(two.second.try_acquire(ahead, two.at.clock).await.unwrap(), Permit::Granted { permits: 1, .. }));
    // One own operation and 20 of another program; 29 are prepaid and come later.
    two.learns(1, LIMIT - 21, END_S).await;
    assert_eq!(two.spent().await, (50, 20));
}

#[tokio::test(start_paused = true)]
async fn header_of_another_window_changes_nothing() {
    let two = Two::new().await;
    assert_eq!(two.take(&two.second, 1).await, 1);
    for reset_at_s in [END_S - 10, END_S - 8, END_S + 20, END_S + 3_600] {
        two.learns(1, 0, reset_at_s).await;
    }
    assert_eq!(two.spent().await, (1, 0));
    assert_eq!(two.take(&two.first, 100).await, 99);
}

/// Every process waits as long as Intercom asks, not for a minute.
#[tokio::test(start_paused = true)]
async fn long_retry_after_applies_to_all_processes() {
    let two = Two::new().await;
    assert_eq!(two.take(&two.first, 1).await, 1);
    two.first.report(RateReport { rate: None, limited: Some(Limited { retry_after_s: Some(300) }) }, 1).await;
    let go_on_ms = two.first.closed_until_ms();
    assert_eq!(go_on_ms, WINDOW_MS + 301_000);
    let ask = PermitRequest::one(Lane::Check);
    for _ in 0..29 {
        for limiter in [&two.first, &two.second] {
            assert!(
                matches!(limiter.try_acquire(ask, two.at.clock).await.unwrap(), Permit::Wait(_)),
                "{}",
                two.at.clock.now_ms()
            );
        }
        advance(Duration::from_secs(10)).await;
    }
    assert_eq!(two.second.try_acquire(ask, two.at.clock).await.unwrap(), Permit::Wait(go_on_ms));
    advance(Duration::from_secs(10)).await;
    assert_eq!((two.take(&two.first, 1).await, two.take(&two.second, 1).await), (1, 1));
}

/// A dry run's pages would use 64 of a window of 83, and the other program uses 40.
/// A 429 of another process is known through the ledger only; one of its own ends prepaid permits.
#[tokio::test(start_paused = true)]
async fn prepaid_permits_end_with_a_429() {
    let two = Two::new().await;
    let ahead = PermitRequest { ahead: 30, ..PermitRequest::one(Lane::Check) };
    let one = PermitRequest::one(Lane::Check);
    let granted = Permit::Granted { permits: 1, end_ms: WINDOW_MS + 10_000 };
    for limiter in [&two.first, &two.second] {
        assert_eq!(limiter.try_acquire(ahead, two.at.clock).await.unwrap(), granted);
    }
    two.first.report(RateReport { rate: None, limited: Some(Limited { retry_after_s: None }) }, 1).await;
    assert_eq!(two.first.try_acquire(one, two.at.clock).await.unwrap(), Permit::Wait(WINDOW_MS + 11_000));
    assert_eq!(two.second.try_acquire(one, two.at.clock).await.unwrap(), granted, "prepaid");
    let more = PermitRequest::exactly(Lane::Check, 40);
    assert_eq!(two.second.try_acquire(more, two.at.clock).await.unwrap(), Permit::Wait(WINDOW_MS + 10_000));
    assert_eq!((two.first.take_usage().rate_limited, two.first.take_usage().rate_limited), (1, 0));
}

/// Permits of a window's edge are charged to the next window, too.
#[tokio::test(start_paused = true)]
async fn permits_end_with_the_last_charged_window() {
    let two = Two::new().await;
    for (wait_ms, end_ms) in [(0, 10_000), (8_800, 20_000), (300, 20_000)] {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let permit = two.first.try_acquire(PermitRequest::one(Lane::Check), two.at.clock).await.unwrap();
        assert_eq!(permit, Permit::Granted { permits: 1, end_ms: WINDOW_MS + end_ms }, "{wait_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn acquire_waits_as_long_as_the_deadline_allows() {
    let two = Two::new().await;
    let (clock, end_ms) = (two.at.clock, WINDOW_MS + 10_000);
    let request = PermitRequest::one(Lane::Check);
    let acquire = |until_ms, stop| {
        let second = two.second.clone();
        async move { second.acquire(request, &Deadline { clock, until_ms, stop }).await.unwrap() }
    };
    assert_eq!(two.take(&two.first, LIMIT).await, LIMIT);
    assert_eq!(acquire(end_ms - 1, None).await, Permit::Wait(end_ms));
    assert_eq!(acquire(WINDOW_MS, None).await, Permit::Wait(WINDOW_MS + 1_000), "the deadline has passed");
    assert_eq!(clock.now_ms(), WINDOW_MS + 1_000, "no wait was long enough");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let stops = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.send(true).unwrap();
    };
    let (permit, ()) = tokio::join!(acquire(end_ms + 5_000, Some(stopped)), stops);
    assert_eq!(permit, Permit::Wait(WINDOW_MS + 3_000), "the caller must stop");
    assert_eq!(acquire(end_ms, None).await, Permit::Granted { permits: 1, end_ms: end_ms + 10_000 });
    // The first moments of a window are waited out.
    assert_eq!(clock.now_ms(), end_ms + 50);
}

/// A start goes on without the count, but what the failed answer says counts for all.
#[tokio::test(start_paused = true)]
async fn failed_count_reaches_the_limiter() {
    for how in [Closed::Limited, Closed::States(500)] {
        let pipeline = Pipeline::new(PLAN_PRICE, users(100)).await;
        pipeline.way.disturb("GET /counts", how);
        let run = pipeline.start(json!({})).await;
        let (clients, now_ms) = (&pipeline.engine.clients, pipeline.engine.now_ms());
        if matches!(how, Closed::Limited) {
            assert!(clients.limiter.closed_until_ms() > now_ms);
            let spent = clients.ledger.window(window_end_ms(now_ms)).await.unwrap().spent;
            assert!(u64::from(spent) > pipeline.limit, "no process sends in this window: {spent}");
        } else {
            assert_eq!(clients.ledger.limit().await.unwrap().limit, 500);
        }
        pipeline.way.close(None);
        assert_eq!(pipeline.until_ended(&run).await.state(), State::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn other_program_is_noticed_before_a_429() {
    for choices in [&[][..], &["rate-reset=exact", "rate-remaining=after"], &["rate-reset=exact"]] {
        let choices = choices.iter().map(|text| text.parse::<Choice>().unwrap());
        let faults = vec![Fault::OthersSpend(40)];
        let options = Options { rate_limit_per_10s: 83, latency_ms: 100, faults, ..users(12_000) };
        let pipeline = Pipeline::new(PLAN_PRICE, choices.fold(options, Options::with)).await;
        let report = pipeline.run(json!({"rails": {"dry_run": true}})).await;
        assert_eq!(report.state(), State::Complete, "{}", report.reason());
        assert!(report.world.fired["others-spend"] > 60, "{:?}", report.world.fired);
        assert_eq!(report.world.given_429, 0);
        report.assert_intercom_respected();
    }
}

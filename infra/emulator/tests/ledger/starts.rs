//! Waiting starts: one for each plan and its limits.

use std::num::NonZeroU32;

use aws_sdk_dynamodb::types::AttributeValue;
use intercom_bulk::domain::run::{Limits, Run, Source, Start};
use intercom_bulk::ledger::{Ledger, Queued};

use super::{NOW_MS, TABLE, begin, ledger, run};

fn start(at_s: i64, pace: Option<u32>, inline: Option<serde_json::Value>) -> Start {
    let limits = Limits { max_per_minute: pace.and_then(NonZeroU32::new), ..Limits::default() };
    Start::new("p", inline, at_s, Source::All, limits)
}

async fn waiting(ledger: &Ledger) -> Vec<Start> {
    ledger.waiting().await.unwrap().into_iter().map(|waiting| waiting.start).collect()
}

#[tokio::test]
async fn start_covers_later_ones_with_its_plan_and_limits() {
    let (ledger, _account) = ledger().await;
    let plan = |version: u32| Some(serde_json::json!({"name": "p", "version": version}));
    let starts = [
        start(1, Some(60), None),
        start(2, None, None),
        start(3, Some(7), None),
        start(4, None, plan(1)),
        start(5, None, plan(2)),
    ];
    for start in &starts {
        assert_eq!(ledger.enqueue(start, NOW_MS).await.unwrap(), Queued::Waits);
        assert_eq!(ledger.enqueue(start, NOW_MS).await.unwrap(), Queued::Known);
    }
    for first in &starts {
        let later = Start::new("p", first.inline.clone(), 9, Source::All, first.limits.clone());
        assert_eq!(ledger.enqueue(&later, NOW_MS).await.unwrap(), Queued::Covered(first.run()));
    }
    assert_eq!(waiting(&ledger).await, starts);
    for start in &starts {
        ledger.dequeue(start).await.unwrap();
    }
    assert_eq!(waiting(&ledger).await, []);
}

/// The process that began the run may have ended before the start left the queue.
#[tokio::test]
async fn start_whose_run_began_covers_no_later_one() {
    let (ledger, _account) = ledger().await;
    let [first, second, third, fourth] = [1, 2, 3, 4].map(|at_s| start(at_s, None, None));
    assert_eq!(ledger.enqueue(&first, NOW_MS).await.unwrap(), Queued::Waits);
    begin(&ledger, &Run { id: first.run(), ..run("p") }).await;
    assert_eq!(ledger.enqueue(&second, NOW_MS).await.unwrap(), Queued::Waits, "under its own name");
    assert_eq!(ledger.enqueue(&third, NOW_MS).await.unwrap(), Queued::Waits);
    assert_eq!(ledger.enqueue(&fourth, NOW_MS).await.unwrap(), Queued::Covered(third.run()));
    assert_eq!(waiting(&ledger).await, [second, third]);
}

/// Earlier versions stored one start under its plan, whatever its limits.
#[tokio::test]
async fn start_of_an_earlier_version_covers_later_ones() {
    let (ledger, account) = ledger().await;
    let stored = start(1, Some(60), None);
    let s = |text: &str| AttributeValue::S(text.to_owned());
    let put = account.dynamodb.put_item().table_name(TABLE).item("pk", s("STARTS")).item("sk", s("p"));
    put.item("start", s(&serde_json::to_string(&stored).unwrap())).send().await.unwrap();
    assert_eq!(ledger.enqueue(&stored, NOW_MS).await.unwrap(), Queued::Known);
    assert_eq!(ledger.enqueue(&start(2, Some(60), None), NOW_MS).await.unwrap(), Queued::Covered(stored.run()));
    let plain = start(3, None, None);
    assert_eq!(ledger.enqueue(&plain, NOW_MS).await.unwrap(), Queued::Waits, "under its own name");
    assert_eq!(waiting(&ledger).await, [stored.clone(), plain.clone()]);
    for start in [stored, plain] {
        ledger.dequeue(&start).await.unwrap();
    }
    assert_eq!(waiting(&ledger).await, []);
}

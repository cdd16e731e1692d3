//! Ends and pauses that are due to be reported.

use intercom_bulk::ledger::DueReport;

use super::*;

async fn due(ledger: &Ledger) -> Vec<(RunId, i64)> {
    ledger.reports_due(10).await.unwrap().into_iter().map(|due| (due.run, due.at_ms - NOW_MS)).collect()
}

#[tokio::test]
async fn end_and_each_pause_are_due_until_reported() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    begin(&ledger, &run).await;
    assert_eq!(due(&ledger).await, []);
    let pause = |by, at_ms: i64| Pause { by, from: State::Running, since_ms: NOW_MS + at_ms };
    assert!(ledger.pause(&run, pause(PausedBy::Step, 1), "a limit").await.unwrap());
    let paused = ledger.run(&run.id).await.unwrap().unwrap();
    assert!(ledger.pause(&paused, pause(PausedBy::Operator, 2), "a limit").await.unwrap());
    assert_eq!(due(&ledger).await, [(run.id.clone(), 1)], "an operator who holds a paused run is no news");
    let first = DueReport { run: run.id.clone(), at_ms: NOW_MS + 1 };
    let held = ledger.run(&run.id).await.unwrap().unwrap();
    assert!(ledger.unpause(&held, State::Running, NOW_MS + 3).await.unwrap());
    let running = ledger.run(&run.id).await.unwrap().unwrap();
    assert!(ledger.pause(&running, pause(PausedBy::Step, 4), "another").await.unwrap());
    ledger.reported(&first).await.unwrap();
    assert_eq!(due(&ledger).await, [(run.id.clone(), 4)], "the report of the first pause is not one of the second");
    let paused = ledger.run(&run.id).await.unwrap().unwrap();
    assert!(ledger.end(&paused, State::Cancelled, None, None, NOW_MS + 5).await.unwrap());
    assert!(!ledger.end(&paused, State::Failed, None, None, NOW_MS + 6).await.unwrap());
    assert_eq!(due(&ledger).await, [(run.id.clone(), 5)]);
    ledger.reported(&DueReport { run: run.id, at_ms: NOW_MS + 5 }).await.unwrap();
    assert_eq!(due(&ledger).await, []);
}

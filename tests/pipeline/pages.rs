//! Faults of a page's answer.

use intercom_bulk::domain::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};

use crate::intercom::Closed;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

async fn with_faults(faults: Vec<Fault>) -> Report {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(650) }).await;
    pipeline.run(Value::Null).await
}

/// The page may be lost: the scroll is read to its end and once more. Almost nothing is left to
/// send.
#[tokio::test(start_paused = true)]
async fn lost_page_is_read_in_the_next_generation() {
    for fault in [Fault::LosePage(3), Fault::ErrorPage(3), Fault::EmptyPage(3), Fault::Empty503Page(3)] {
        let report = with_faults(vec![fault.clone()]).await;
        report.assert_complete();
        assert_eq!(report.cursor.generation, 2, "{fault:?}");
        assert!(report.cursor.gaps.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn lost_pages_are_read_in_the_next_generation() {
    let report =
        with_faults(vec![Fault::LosePage(2), Fault::LosePage(3), Fault::LosePage(7), Fault::LosePage(10)]).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 3);
}

#[tokio::test(start_paused = true)]
async fn lost_first_page_waits_for_its_scroll_to_expire() {
    for fault in [Fault::LosePage(1), Fault::ErrorPage(1), Fault::EmptyPage(1), Fault::Empty503Page(1)] {
        let report = with_faults(vec![fault]).await;
        report.assert_complete();
        assert!(report.seconds >= 60, "{}", report.seconds);
        assert_eq!(report.cursor.generation, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn forgotten_scroll_starts_a_new_generation() {
    let report = with_faults(vec![Fault::ForgetScroll(4)]).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 2);
}

#[tokio::test(start_paused = true)]
async fn always_forgotten_scroll_ends_truthfully() {
    let report = with_faults((2..=100).step_by(2).map(Fault::ForgetScroll).collect()).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    assert!(report.reason().contains("expired"), "{}", report.reason());
    assert!(report.reason().contains("100 of 650 users were read"), "{}", report.reason());
    report.assert_nobody_lost();
}

/// It has no cursor that could have expired: the call itself is refused, and always will be.
#[tokio::test(start_paused = true)]
async fn first_page_with_404_fails_the_run() {
    let report = with_faults(vec![Fault::ForgetScroll(1)]).await;
    assert_eq!(report.state(), State::Failed);
    report.assert_nobody_lost();
}

#[tokio::test(start_paused = true)]
async fn foreign_scroll_is_waited_for() {
    let report = with_faults(vec![Fault::ForeignScroll(70)]).await;
    report.assert_complete();
    assert!(report.seconds >= 65, "{}", report.seconds);
}

#[tokio::test(start_paused = true)]
async fn always_taken_scroll_fails_and_names_the_cause() {
    let report = with_faults(vec![Fault::ScrollExistsForever]).await;
    assert_eq!(report.state(), State::Failed);
    assert!(report.reason().contains("another program holds the workspace's only scroll"), "{}", report.reason());
    assert!((490..700).contains(&report.seconds), "65, 130 and 300 s of waiting: {}", report.seconds);
    report.assert_nobody_lost();
    assert_eq!(report.world.items, 0);
}

#[tokio::test(start_paused = true)]
async fn repeated_page_is_a_gap_without_duplicates() {
    let report = with_faults(vec![Fault::RepeatPage(3)]).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 2);
    assert_eq!(report.world.items, report.accounts.totals.patches);
}

#[tokio::test(start_paused = true)]
async fn endlessly_repeated_page_fails_the_run() {
    let report = with_faults((3..=60).map(Fault::RepeatPage).collect()).await;
    assert_eq!(report.state(), State::Failed);
    assert!(report.reason().contains("same page three times"), "{}", report.reason());
    report.assert_nobody_lost();
}

/// It did not move the cursor: the same page comes next.
#[tokio::test(start_paused = true)]
async fn page_with_429_costs_no_generation() {
    let report = with_faults(vec![Fault::LimitPage(3), Fault::LimitPage(4)]).await;
    report.assert_complete();
    assert_eq!((report.cursor.generation, report.world.given_429), (1, 2));
    assert!(report.seconds >= 10);
}

#[tokio::test(start_paused = true)]
async fn first_page_with_429_opens_no_second_scroll() {
    let report = with_faults(vec![Fault::LimitPage(1)]).await;
    report.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn rotating_scroll_param_is_followed() {
    let options = Options { rotating_scroll_param: true, faults: vec![Fault::LosePage(4)], ..users(650) };
    let report = Pipeline::new(HAS_AVATAR, options).await.run(Value::Null).await;
    report.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn users_may_change_during_a_run() {
    let options = Options { faults: vec![Fault::UsersChange], ..users(1_500) };
    let report = Pipeline::new(HAS_AVATAR, options).await.run(Value::Null).await;
    assert!(matches!(report.state(), State::Complete | State::CompleteWithErrors), "{}", report.reason());
    report.assert_jobs_known();
    report.assert_intercom_respected();
    // Users changed or added behind the scroll belong to the next run. All others have the value.
    let moved: Vec<_> = [&report.world.users_changed, &report.world.users_added].into_iter().flatten().collect();
    let silent: Vec<_> =
        report.lacking.difference(&report.users_in_error()).filter(|id| !moved.contains(id)).cloned().collect();
    assert_eq!(silent, Vec::<String>::new());
    assert!(report.errors.iter().all(|row| row.code == "not_found"), "{:?}", report.errors);
}

#[tokio::test(start_paused = true)]
async fn list_slightly_below_the_count_reports_both() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(450)).await;
    pipeline.way.disturb("GET /counts", Closed::Counts(540));
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    let totals = report.run.totals.unwrap();
    assert_eq!((totals.users, totals.count), (450, Some(540)));
}

/// Users may have been deleted since the run began.
#[tokio::test(start_paused = true)]
async fn old_count_is_refreshed_before_it_is_used() {
    for (then, state) in [(None, State::Complete), (Some(Closed::Answers(503)), State::Incomplete)] {
        let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 700, ..users(450) }).await;
        pipeline.way.disturb("GET /counts", Closed::Counts(5_000));
        let run = pipeline.start(Value::Null).await;
        match then {
            None => pipeline.way.close(None),
            Some(how) => pipeline.way.disturb("GET /counts", how),
        }
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.state(), state, "{}", report.reason());
        let count = report.run.totals.as_ref().unwrap().count;
        assert_eq!(count, Some(if then.is_none() { 450 } else { 5_000 }));
    }
}

#[tokio::test(start_paused = true)]
async fn run_without_a_count_requests_one_at_its_end() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 700, ..users(250) }).await;
    pipeline.way.close(Some("GET /counts"));
    let run = pipeline.start(Value::Null).await;
    pipeline.way.disturb("GET /counts", Closed::Counts(2_500));
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), report.run.count), (State::Incomplete, None), "{}", report.reason());
    assert!(report.reason().contains("2500"), "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn duplicate_user_in_a_page_counts_once() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(250)).await;
    pipeline.way.disturb("GET /users/scroll", Closed::Doubles);
    let patches = Report::to_change(&pipeline) as u64;
    let report = pipeline.run(json!({"rails": {"max_changes": {"users": patches}}})).await;
    report.assert_complete();
    let tally = &report.cursor.tally;
    assert_eq!((tally.users, tally.doubles, tally.patches), (250, 250, patches));
    assert_eq!(report.world.items, patches, "and no user is sent twice");
}

//! What can happen to a page's answer.

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

/// The page may be gone: the scroll is read to its end and once more, and almost nothing is left to send.
#[tokio::test(start_paused = true)]
async fn a_page_lost_after_the_cursor_moved_is_read_in_the_next_generation() {
    for fault in [Fault::LosePage(3), Fault::ErrorPage(3), Fault::EmptyPage(3), Fault::Empty503Page(3)] {
        let report = with_faults(vec![fault.clone()]).await;
        report.assert_complete();
        assert_eq!(report.cursor.generation, 2, "{fault:?}");
        assert!(report.cursor.gaps.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn several_lost_pages_are_read_in_the_next_generation() {
    let report =
        with_faults(vec![Fault::LosePage(2), Fault::LosePage(3), Fault::LosePage(7), Fault::LosePage(10)]).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_first_page_waits_for_its_scroll_to_expire() {
    for fault in [Fault::LosePage(1), Fault::ErrorPage(1), Fault::EmptyPage(1), Fault::Empty503Page(1)] {
        let report = with_faults(vec![fault]).await;
        report.assert_complete();
        assert!(report.seconds >= 60, "{}", report.seconds);
        assert_eq!(report.cursor.generation, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_scroll_that_intercom_forgot_is_no_end() {
    let report = with_faults(vec![Fault::ForgetScroll(4)]).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 2);
}

#[tokio::test(start_paused = true)]
async fn a_scroll_that_is_forgotten_each_time_ends_truthfully() {
    let report = with_faults((2..=100).step_by(2).map(Fault::ForgetScroll).collect()).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    assert!(report.reason().contains("expired"), "{}", report.reason());
    assert!(report.reason().contains("100 of 650 users were read"), "{}", report.reason());
    report.assert_nobody_lost();
}

/// It has no cursor that could have expired: the call itself is refused, and will be again.
#[tokio::test(start_paused = true)]
async fn a_404_on_the_first_page_is_the_run_s_fault() {
    let report = with_faults(vec![Fault::ForgetScroll(1)]).await;
    assert_eq!(report.state(), State::Failed);
    report.assert_nobody_lost();
}

#[tokio::test(start_paused = true)]
async fn a_scroll_of_somebody_else_is_waited_for() {
    let report = with_faults(vec![Fault::ForeignScroll(70)]).await;
    report.assert_complete();
    assert!(report.seconds >= 65, "{}", report.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_scroll_that_is_always_taken_fails_and_says_by_whom() {
    let report = with_faults(vec![Fault::ScrollExistsForever]).await;
    assert_eq!(report.state(), State::Failed);
    assert!(report.reason().contains("another program holds the workspace's only scroll"), "{}", report.reason());
    assert!((490..700).contains(&report.seconds), "65, 130 and 300 s of waiting: {}", report.seconds);
    report.assert_nobody_lost();
    assert_eq!(report.world.items, 0);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_page_is_a_gap_and_nobody_is_evaluated_twice_for_it() {
    let report = with_faults(vec![Fault::RepeatPage(3)]).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 2);
    assert_eq!(report.world.items, report.accounts.totals.patches);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_repeats_for_ever_fails_the_run() {
    let report = with_faults((3..=60).map(Fault::RepeatPage).collect()).await;
    assert_eq!(report.state(), State::Failed);
    assert!(report.reason().contains("same page three times"), "{}", report.reason());
    report.assert_nobody_lost();
}

/// It did not move the cursor: the same page comes next.
#[tokio::test(start_paused = true)]
async fn a_429_on_a_page_costs_neither_the_page_nor_a_generation() {
    let report = with_faults(vec![Fault::LimitPage(3), Fault::LimitPage(4)]).await;
    report.assert_complete();
    assert_eq!((report.cursor.generation, report.world.given_429), (1, 2));
    assert!(report.seconds >= 10);
}

#[tokio::test(start_paused = true)]
async fn a_429_on_the_first_page_opens_no_second_scroll() {
    let report = with_faults(vec![Fault::LimitPage(1)]).await;
    report.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn a_rotating_scroll_param_is_followed() {
    let options = Options { rotating_scroll_param: true, faults: vec![Fault::LosePage(4)], ..users(650) };
    let report = Pipeline::new(HAS_AVATAR, options).await.run(Value::Null).await;
    report.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn users_that_come_and_go_in_the_meantime_harm_nothing() {
    let options = Options { faults: vec![Fault::UsersChange], ..users(1_500) };
    let report = Pipeline::new(HAS_AVATAR, options).await.run(Value::Null).await;
    assert!(matches!(report.state(), State::Complete | State::CompleteWithErrors), "{}", report.reason());
    report.assert_jobs_known();
    report.assert_intercom_respected();
    // Who was changed or added behind the scroll is the next run's; everybody else has the value.
    let moved: Vec<_> = [&report.world.users_changed, &report.world.users_added].into_iter().flatten().collect();
    let silent: Vec<_> =
        report.lacking.difference(&report.users_in_error()).filter(|id| !moved.contains(id)).cloned().collect();
    assert_eq!(silent, Vec::<String>::new());
    assert!(report.errors.iter().all(|row| row.code == "not_found"), "{:?}", report.errors);
}

/// A list that ends early is not the whole workspace.
#[tokio::test(start_paused = true)]
async fn a_list_that_ends_far_before_intercom_s_count_is_incomplete() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(3)).await;
    pipeline.way.disturb("GET /counts", Closed::Counts(5_000));
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    assert!(
        report.reason().contains("counts 5000 users") && report.reason().contains("after 3"),
        "{}",
        report.reason()
    );
    report.assert_nobody_lost();
    assert_eq!(report.run.totals.unwrap().count, Some(5_000));
    // A limit and a list of users are no whole workspace.
    let limited = pipeline.run(json!({"rails": {"limit": 2}})).await;
    assert_eq!((limited.state(), limited.run.totals.unwrap().count), (State::Complete, None));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_ends_a_little_before_intercom_s_count_states_both() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(450)).await;
    pipeline.way.disturb("GET /counts", Closed::Counts(540));
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    let totals = report.run.totals.unwrap();
    assert_eq!((totals.users, totals.count), (450, Some(540)));
}

/// Users may have been deleted since the run began.
#[tokio::test(start_paused = true)]
async fn an_old_count_is_asked_for_again_before_it_is_believed() {
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
async fn a_run_without_a_count_asks_for_one_at_its_end() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 700, ..users(250) }).await;
    pipeline.way.close(Some("GET /counts"));
    let run = pipeline.start(Value::Null).await;
    pipeline.way.disturb("GET /counts", Closed::Counts(2_500));
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), report.run.count), (State::Incomplete, None), "{}", report.reason());
    assert!(report.reason().contains("2500"), "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn a_user_twice_in_a_page_is_one_user() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(250)).await;
    pipeline.way.disturb("GET /users/scroll", Closed::Doubles);
    let patches = Report::to_change(&pipeline) as u64;
    let report = pipeline.run(json!({"rails": {"max_changes": {"users": patches}}})).await;
    report.assert_complete();
    let tally = &report.cursor.tally;
    assert_eq!((tally.users, tally.doubles, tally.patches), (250, 250, patches));
    assert_eq!(report.world.items, patches, "and nobody is sent twice");
}

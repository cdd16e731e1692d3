//! Each fault has its documented effect.

use std::time::Duration;

use intercom_simulator::{Fault, Options, World};
use serde_json::json;
use tokio::time::Instant;

use crate::call::{Answer, get, id, ids, items, options, outcome, pass, post, try_get, try_post, world};

/// Requests pages until the faulty one. Returns `None` if its connection closes.
async fn second_page(world: &World) -> (String, Option<Answer>) {
    let first = get(world, "/users/scroll").await;
    let next = format!("/users/scroll?scroll_param={}", first.body["scroll_param"].as_str().unwrap());
    let answer = try_get(world, &next).await;
    (next, answer)
}

/// Returns the number of users in the pages after the faulty one.
async fn rest(world: &World, next: &str) -> usize {
    let mut rest = 0;
    loop {
        let page = ids(&get(world, next).await.body).len();
        rest += page;
        if page == 0 {
            return rest;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn faulty_page_is_consumed_or_kept() {
    for (fault, status, still_to_come) in [
        ("lose-page=2", None, 50),
        ("error-page=2", Some(500), 50),
        ("error-page-keeps=2", Some(500), 150),
        ("empty-page=2", Some(200), 50),
        ("empty-503-page=2", Some(503), 50),
        ("limit-page=2", Some(429), 150),
        ("repeat-page=2", Some(200), 150),
    ] {
        let world = world(&[fault]);
        let (next, answer) = second_page(&world).await;
        assert_eq!(answer.map(|answer| answer.status), status, "{fault}");
        assert_eq!(rest(&world, &next).await, still_to_come, "{fault}");
        let delivered = world.state().pages_distinct_users;
        assert_eq!(delivered, 100 + still_to_come, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn faulty_answers_have_the_documented_form() {
    let (_, error) = second_page(&world(&["error-page=2"])).await;
    let message = &error.unwrap().body["errors"][0]["message"];
    assert!(message.as_str().unwrap().ends_with("Please restart the scroll operation."));
    let (_, limited) = second_page(&world(&["limit-page=2"])).await;
    let limited = limited.unwrap();
    assert_eq!((limited.error(), limited.header("x-ratelimit-reset")), ((429, "rate_limit_exceeded"), None));
    let (_, forgotten) = second_page(&world(&["forget-scroll=2"])).await;
    assert_eq!(forgotten.unwrap().error(), (404, "not_found"));
    let (_, empty) = second_page(&world(&["empty-page=2"])).await;
    assert_eq!(empty.unwrap().body, json!(null));
}

#[tokio::test(start_paused = true)]
async fn foreign_scroll_can_hold_the_place() {
    let world = world(&["foreign-scroll=90"]);
    assert_eq!(get(&world, "/users/scroll").await.error(), (400, "scroll_exists"));
    pass(90).await;
    assert_eq!(get(&world, "/users/scroll").await.status, 200);
    assert_eq!(world.state().second_scrolls, 0, "a foreign scroll is not the client's fault");
    let forever = crate::call::world(&["scroll-exists-forever"]);
    pass(1_000_000).await;
    assert_eq!(get(&forever, "/users/scroll").await.error(), (400, "scroll_exists"));
}

#[tokio::test(start_paused = true)]
async fn foreign_scroll_can_replace_an_open_one() {
    let world = world(&["steal-scroll=2:90"]);
    let (next, gone) = second_page(&world).await;
    assert_eq!(gone.unwrap().status, 404);
    for _ in 0..2 {
        assert_eq!(get(&world, "/users/scroll").await.error(), (400, "scroll_exists"));
        assert_eq!(get(&world, &next).await.status, 404);
        pass(45).await;
    }
    assert_eq!(get(&world, "/users/scroll").await.status, 200);
    assert_eq!(world.state().second_scrolls, 0, "a foreign scroll is not the client's fault");
}

#[tokio::test(start_paused = true)]
async fn one_job_can_take_longer() {
    let world = world(&["slow-job=1:600"]);
    for _ in 0..2 {
        post(&world, "/bulk/users", &items(&[json!({"id": id(&world, 0), "custom_attributes": {"n": 1}})])).await;
    }
    let states = || world.state().jobs.into_iter().map(|job| job.tasks[0].clone()).collect::<Vec<_>>();
    pass(601).await;
    assert_eq!(states(), ["running", "completed"]);
    pass(1).await;
    assert_eq!(states(), ["completed", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn slow_page_moves_the_cursor() {
    let world = world(&["slow-page=1:70"]);
    let started = Instant::now();
    let first = get(&world, "/users/scroll").await;
    assert_eq!(started.elapsed(), Duration::from_secs(70));
    let next = format!("/users/scroll?scroll_param={}", first.body["scroll_param"].as_str().unwrap());
    pass(59).await;
    assert_ne!(ids(&get(&world, &next).await.body), ids(&first.body));
    let impatient = crate::call::world(&["slow-pages=30"]);
    let given_up = tokio::time::timeout(Duration::from_secs(10), get(&impatient, "/users/scroll")).await;
    assert!(given_up.is_err());
    assert_eq!(get(&impatient, "/users/scroll").await.error(), (400, "scroll_exists"));
}

#[tokio::test(start_paused = true)]
async fn faulty_bulk_request_creates_a_job_or_none() {
    for (fault, status, jobs) in [
        ("limit-bulk=1", Some(429), 0),
        ("limit-bulk-bare=1", Some(429), 0),
        ("error-bulk=1", Some(500), 0),
        ("bad-item=100%", Some(400), 0),
        ("poison-item=503:100%", Some(503), 0),
        ("poison-item=410:100%", Some(410), 0),
        ("lose-bulk=1", None, 1),
    ] {
        let world = world(&[fault]);
        let user = id(&world, 0);
        let body = items(&[json!({"id": user, "custom_attributes": {"a": 1}})]);
        let answer = try_post(&world, "/bulk/users", &body).await;
        assert_eq!(answer.as_ref().map(|answer| answer.status), status, "{fault}");
        if let Some(answer) = answer.filter(|answer| answer.status == 429) {
            let remaining = (fault == "limit-bulk=1").then_some("0");
            assert_eq!(answer.header("x-ratelimit-remaining"), remaining, "{fault}");
        }
        pass(3).await;
        let state = world.state();
        assert_eq!((state.jobs.len(), state.over_limit), (jobs, 0), "{fault}");
        assert!(state.jobs.iter().all(|job| !job.answered), "{fault}");
        let applied = world.user(&user).unwrap()["custom_attributes"]["a"] == json!(1);
        assert_eq!(applied, jobs == 1, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn job_can_be_lost_fail_or_never_end() {
    for (fault, job_status, task, applied) in [
        ("lose-job=1", 404, "completed", true),
        ("job-fails=1", 200, "failed", false),
        ("job-never-ends=1", 200, "running", false),
        ("late-job-object=1", 200, "completed", true),
    ] {
        let world = world(&[fault]);
        let user = id(&world, 0);
        let made = post(&world, "/bulk/users", &items(&[json!({"id": user, "custom_attributes": {"a": 1}})])).await;
        pass(20).await;
        let job = get(&world, &format!("/jobs/{}", made.body["id"].as_str().unwrap())).await;
        assert_eq!(job.status, job_status, "{fault}");
        let state = &world.state().jobs[0];
        assert_eq!(state.tasks, [task], "{fault}");
        assert_eq!(world.user(&user).unwrap()["custom_attributes"].get("a").is_some(), applied, "{fault}");
        assert_eq!(state.state == "completed", fault == "late-job-object=1", "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn items_fail_for_a_share_of_the_users() {
    let world = world(&["item-error=30%:invalid:user: broken"]);
    let patches: Vec<_> = (0..100).map(|n| json!({"id": id(&world, n), "custom_attributes": {"a": 1}})).collect();
    let errors = outcome(&world, &patches).await;
    assert!((10..=50).contains(&errors.len()), "{}", errors.len());
    assert_eq!(errors[0], ("invalid".to_owned(), "user: broken".to_owned()));
    assert_eq!(outcome(&world, &patches).await.len(), errors.len(), "the same users fail again");
}

#[tokio::test(start_paused = true)]
async fn rate_limited_item_succeeds_the_second_time() {
    let world = world(&["item-limited=100%"]);
    let patch = [json!({"id": id(&world, 0), "custom_attributes": {"a": 1}})];
    assert_eq!(outcome(&world, &patch).await[0].0, "rate_limit_exceeded");
    assert!(outcome(&world, &patch).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_user_can_be_rejected() {
    let plain = world(&[]);
    let (bad, good) = (id(&plain, 3), id(&plain, 4));
    let world = world(&[&format!("reject-user={bad}")]);
    assert_eq!(outcome(&world, &[json!({"id": good}), json!({"id": bad})]).await.len(), 1);
}

#[test]
fn every_fault_in_the_help_can_be_read() {
    let mut count = 0;
    for line in Fault::NAMES_HELP.lines().filter(|line| !line.starts_with(' ')) {
        let example = line.split("  ").next().unwrap();
        example.parse::<Fault>().unwrap();
        count += 1;
    }
    assert_eq!(count, 36, "a fault is missing from the help or from this test");
}

#[test]
fn invalid_fault_names_the_accepted_values() {
    let unknown = "loose-page=1".parse::<Fault>().unwrap_err().to_string();
    assert!(unknown.contains("`loose-page`") && unknown.contains("\nlose-page=3"), "{unknown}");
    for (text, example) in [
        ("lose-page=0", "`lose-page=3`"),
        ("slow-page=3", "`slow-page=3:70`"),
        ("bad-item=101", "`bad-item=1%`"),
        ("poison-item=401:1%", "`poison-item=500:1%`"),
        ("item-error=5%", "`item-error=5%:invalid:email invalid`"),
        ("error-page=x", "`error-page=3`"),
    ] {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains(example), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_faults_that_struck_are_counted() {
    let world = world(&["lose-page=2", "lose-page=7", "foreign-scroll=0"]);
    second_page(&world).await;
    assert_eq!(world.state().fired, [("lose-page".to_owned(), 1)].into());
}

#[tokio::test(start_paused = true)]
async fn requests_can_be_denied_with_each_status() {
    for (fault, error) in [
        ("denied=400:1", (400, "intercom_version_invalid")),
        ("denied=402:1", (402, "api_plan_restricted")),
        ("denied=403:1", (403, "forbidden")),
        ("denied=404:1", (404, "not_found")),
    ] {
        let world = world(&[fault]);
        assert_eq!(get(&world, "/users/scroll").await.status, 200, "{fault}");
        assert_eq!(get(&world, "/users/scroll").await.error(), error);
        assert_eq!(world.state().fired, [("denied".to_owned(), 1)].into());
    }
    assert!("denied=500:1".parse::<Fault>().is_err());
}

#[tokio::test(start_paused = true)]
async fn other_programs_use_each_window_gradually() {
    let world = World::new(Options { rate_limit_per_10s: 30, ..options(&["others-spend=20"]) });
    let mut remaining = Vec::new();
    for _ in 0..5 {
        remaining.push(get(&world, "/counts").await.header("x-ratelimit-remaining").unwrap().to_owned());
        tokio::time::advance(Duration::from_millis(600)).await;
    }
    assert_eq!(remaining, ["30", "23", "16", "9", "6"]);
    pass(8).await;
    assert_eq!(
        get(&world, "/counts").await.header("x-ratelimit-remaining"),
        Some("20"),
        "the next window, after a second"
    );
    assert_eq!(world.state().fired["others-spend"], 5);
}

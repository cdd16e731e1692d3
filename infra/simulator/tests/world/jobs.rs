//! Jobs by the clock, appending, and error feeds.

use serde_json::{Value, json};

use crate::call::{get, id, items, outcome, pass, post, world};

fn append(data: &Value, job: &str) -> Value {
    let mut body = items(std::slice::from_ref(data));
    body["job"] = json!({"id": job});
    body
}

#[tokio::test(start_paused = true)]
async fn task_ends_hours_before_its_job() {
    let world = world(&[]);
    let user = id(&world, 0);
    let data =
        [json!({"id": user, "custom_attributes": {"has avatar": false}}), json!({"id": "5714dd359a3fd47136000001"})];
    let made = post(&world, "/bulk/users", &items(&data)).await;
    let path = format!("/jobs/{}", made.body["id"].as_str().unwrap());
    let mut states = Vec::new();
    for seconds in [0, 1, 1, 14_399, 1] {
        pass(seconds).await;
        let job = get(&world, &path).await.body;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        states.push((text(&job["tasks"][0]["state"]), text(&job["state"]), job["completed_at"].is_null()));
    }
    let state = |task: &str, job: &str, open| (task.to_owned(), job.to_owned(), open);
    let with_errors = "completed_with_errors";
    assert_eq!(
        states,
        [
            state("pending", "running", true),
            state("running", "running", true),
            state(with_errors, "running", true),
            state(with_errors, "running", true),
            state(with_errors, with_errors, false),
        ]
    );
    let task = &get(&world, &path).await.body["tasks"][0];
    assert_eq!((&task["item_count"], &task["completed_at"]), (&json!(2), &json!(1_480_550_402)));
}

#[tokio::test(start_paused = true)]
async fn items_apply_at_task_end_and_last_request_wins() {
    let world = world(&[]);
    let user = id(&world, 0);
    let before = world.user(&user).unwrap();
    for value in [1, 2] {
        post(&world, "/bulk/users", &items(&[json!({"id": user, "custom_attributes": {"n": value}})])).await;
        pass(1).await;
    }
    pass(0).await;
    let between = world.user(&user).unwrap();
    assert_eq!((&between["custom_attributes"]["n"], &between["updated_at"]), (&json!(1), &json!(1_480_550_402)));
    pass(1).await;
    let after = world.user(&user).unwrap();
    assert_eq!(after["custom_attributes"]["n"], 2);
    assert_eq!(
        (&after["email"], &after["companies"]),
        (&before["email"], &before["companies"]),
        "the rest is untouched"
    );
}

#[tokio::test(start_paused = true)]
async fn job_accepts_items_until_it_closes() {
    let world = world(&[]);
    let data = json!({"id": id(&world, 0)});
    let made = post(&world, "/bulk/users", &items(std::slice::from_ref(&data))).await;
    let job = made.body["id"].as_str().unwrap();
    pass(899).await;
    let more = post(&world, "/bulk/users", &append(&data, job)).await;
    assert_eq!((more.status, &more.body["id"]), (202, &json!(job)));
    let state = world.state();
    assert_eq!((state.jobs.len(), state.jobs[0].items, state.jobs[0].tasks.len()), (1, 2, 2));
    pass(1).await;
    let closed = post(&world, "/bulk/users", &append(&data, job)).await;
    assert_eq!(closed.error(), (403, "forbidden"));
    assert_eq!(closed.body["errors"][0]["message"], format!("job {job} is closed for new task updates"));
    let unknown = post(&world, "/bulk/users", &append(&data, "job_x")).await;
    assert_eq!(unknown.body["errors"][0]["message"], "job job_x not found");
    assert_eq!(get(&world, "/jobs/job_x/error").await.error(), (404, "job_not_found"));
}

#[tokio::test(start_paused = true)]
async fn error_feed_is_empty_or_paged() {
    let world = world(&["feed-page-size=2"]);
    assert!(outcome(&world, &[json!({"id": id(&world, 0)})]).await.is_empty());
    let unknown: Vec<Value> = (1..=5).map(|n| json!({"id": format!("5714dd359a3fd4713600000{n}")})).collect();
    let made = post(&world, "/bulk/users", &items(&unknown)).await;
    let path = format!("/jobs/{}/error", made.body["id"].as_str().unwrap());
    let early = get(&world, &path).await.body;
    assert_eq!((early["items"].as_array().map(Vec::len), early.get("type")), (Some(0), None), "the empty form");
    pass(2).await;
    let (mut seen, mut next) = (Vec::new(), path);
    loop {
        let page = get(&world, &next).await.body;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["data"].clone()));
        match page["pages"]["next"].as_str() {
            Some(url) => url.strip_prefix("https://api.intercom.io").unwrap().clone_into(&mut next),
            None => break,
        }
    }
    assert_eq!(seen, unknown);
    assert!(next.ends_with("page=3"));
    assert_eq!(get(&world, &next.replace("page=3", "page=0")).await.status, 400);
}

//! `POST /bulk/users`: accepted requests, refused requests, and their cost.

use axum::body::Body;
use intercom_simulator::{Options, RateRemaining, World};
use serde_json::{Value, json};

use crate::call::{get, id, items, options, pass, post, request, send, world};

fn item(patch: &Value) -> Value {
    let mut item = json!({"method": "post", "data_type": "user", "data": {"id": "5714dd359a3fd47136000001"}});
    for (name, value) in patch.as_object().unwrap() {
        item[name] = value.clone();
    }
    json!({"items": [item]})
}

#[tokio::test(start_paused = true)]
async fn wrong_request_is_refused_without_a_job() {
    let world = world(&[]);
    let data = json!({"id": id(&world, 0)});
    for (body, status, code) in [
        (json!([1]), 422, "field_not_found"),
        (json!({}), 422, "field_not_found"),
        (json!({"items": {}}), 422, "type_mismatch"),
        (json!({"items": []}), 422, "parameter_invalid"),
        (json!({"items": [1]}), 422, "type_mismatch"),
        (items(&vec![data.clone(); 101]), 422, "parameter_invalid"),
        (item(&json!({"method": "put"})), 400, "parameter_invalid"),
        (item(&json!({"data_type": "lead"})), 400, "parameter_invalid"),
        (item(&json!({"data": {"name": "unknown"}})), 422, "field_not_found"),
        (item(&json!({"data": {"id": ""}})), 422, "field_not_found"),
        (json!({"items": [{"method": "post", "data_type": "user", "data": data}], "job": 7}), 400, "type_mismatch"),
    ] {
        let answer = post(&world, "/bulk/users", &body).await;
        assert_eq!(answer.error(), (status, code), "{body}");
    }
    let broken = send(&world, request("POST", "/bulk/users").body(Body::from("{")).unwrap()).await.unwrap();
    assert_eq!(broken.error(), (400, "bad_request"));
    let large = send(&world, request("POST", "/bulk/users").body(Body::from(vec![b' '; 1_048_577])).unwrap()).await;
    assert_eq!(large.unwrap().status, 413);
    let mut form = request("POST", "/bulk/users").body(Body::from("{}")).unwrap();
    form.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(send(&world, form).await.unwrap().status, 415);
    assert_eq!((world.state().jobs.len(), world.state().items), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn request_creates_a_job_in_the_documented_form() {
    let world = world(&[]);
    let made = post(&world, "/bulk/users", &items(&[json!({"id": id(&world, 0)})])).await;
    assert_eq!(made.status, 202);
    let job = &made.body;
    let name = job["id"].as_str().unwrap();
    assert!(name.starts_with("job_v2_") && name.split('_').count() == 7 && name.len() == 43, "{name}");
    assert_eq!(job["closing_at"].as_i64().unwrap() - job["created_at"].as_i64().unwrap(), 900);
    assert_eq!((&job["state"], &job["completed_at"]), (&json!("running"), &json!(null)));
    assert!(job.get("type").is_none() && job.get("tasks").is_none());
    assert_eq!(job["links"]["error"], format!("https://api.intercom.io/jobs/{name}/error"));
}

#[tokio::test(start_paused = true)]
async fn items_are_charged_after_admission() {
    let rate_remaining = RateRemaining::After;
    let world = World::new(Options { rate_limit_per_10s: 83, rate_remaining, ..options(&[]) });
    let hundred: Vec<Value> = (0..100).map(|number| json!({"id": id(&world, number)})).collect();
    let first = post(&world, "/bulk/users", &items(&hundred)).await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining")), (202, Some("0")));
    let second = post(&world, "/bulk/users", &items(&hundred)).await;
    assert_eq!(second.body["errors"][0]["message"], "Exceeded rate limit of 83 in 10_seconds");
    assert_eq!(
        (second.header("x-ratelimit-limit"), second.header("x-ratelimit-reset")),
        (Some("83"), Some("1480550412"))
    );
    assert_eq!((world.state().over_limit, world.state().given_429, world.state().items), (1, 1, 100));
    pass(10).await;
    assert_eq!(post(&world, "/bulk/users", &items(&hundred)).await.status, 202, "nothing is carried over");
}

#[tokio::test(start_paused = true)]
async fn request_can_be_charged_as_one() {
    let rate_remaining = RateRemaining::After;
    let world = World::new(Options { items_counted: false, rate_limit_per_10s: 2, rate_remaining, ..options(&[]) });
    let two = items(&[json!({"id": id(&world, 0)}), json!({"id": id(&world, 1)})]);
    let answer = post(&world, "/bulk/users", &two).await;
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(get(&world, "/counts").await.status, 200);
    assert_eq!(get(&world, "/counts").await.status, 429);
}

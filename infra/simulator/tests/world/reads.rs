//! Reads of users and counts, and the simulator's own routes.

use std::time::Duration;

use intercom_simulator::{Options, State, World};
use serde_json::json;
use tokio::time::Instant;

use crate::call::{get, id, options, world};

#[tokio::test(start_paused = true)]
async fn user_is_found_by_each_identifier() {
    let world = world(&[]);
    let users = world.users();
    let user = users.iter().find(|user| user["email"].is_string() && user["user_id"].is_string()).unwrap();
    let email = user["email"].as_str().unwrap().replace('+', "%2B").to_lowercase();
    let id = user["id"].as_str().unwrap();
    for path in [
        format!("/users/{id}"),
        format!("/users?user_id={}", user["user_id"].as_str().unwrap()),
        format!("/users?email={email}"),
    ] {
        assert_eq!(&get(&world, &path).await.body, user, "{path}");
    }
    assert_eq!(get(&world, "/users/5714dd359a3fd47136000001").await.error(), (404, "not_found"));
    assert_eq!(get(&world, "/users/é").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn list_has_pages_and_ends_at_ten_thousand() {
    let world = world(&[]);
    let first = get(&world, "/users").await.body;
    assert_eq!((&first["total_count"], first["users"].as_array().unwrap().len()), (&json!(250), 50));
    let last = get(&world, "/users?per_page=600&page=5").await.body;
    assert_eq!((&last["pages"]["per_page"], last["users"].as_array().unwrap().len()), (&json!(60), 10));
    assert_eq!(last["pages"]["next"], json!(null));
    assert_eq!(
        get(&world, "/users?page=201").await.body["errors"][0]["message"],
        "page limit reached, please use scroll API"
    );
    assert_eq!(get(&world, "/users?page=0").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn counts_and_app_are_served() {
    let world = world(&[]);
    let counts = get(&world, "/counts").await.body;
    assert_eq!((&counts["type"], &counts["user"]["count"]), (&json!("count.hash"), &json!(250)));
    assert_eq!(get(&world, "/counts?type=user").await.body, json!({"type": "count", "user": {"count": 250}}));
    assert_eq!(get(&world, "/me").await.body["app"]["id_code"], world.users()[0]["app_id"]);
}

#[tokio::test(start_paused = true)]
async fn own_routes_are_free_and_complete() {
    let world = World::new(Options { latency_ms: 300, rate_limit_per_10s: 1, ..options(&[]) });
    let started = Instant::now();
    get(&world, "/counts").await;
    assert_eq!(started.elapsed(), Duration::from_millis(300));
    get(&world, "/counts").await;
    let state: State = serde_json::from_value(get(&world, "/_simulator/state").await.body).unwrap();
    assert_eq!(state, world.state());
    assert_eq!((state.requests["GET /counts"], state.over_limit), (2, 1));
    let path = format!("/_simulator/users?after={}&limit=2", id(&world, 9));
    assert_eq!(get(&world, &path).await.body, json!(world.users()[10..12]));
    assert_eq!(started.elapsed(), Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn user_can_be_set_to_any_shape() {
    let world = world(&[]);
    let user = id(&world, 0);
    assert!(world.set_user(&user, |user| {
        user.as_object_mut().unwrap().remove("avatar");
        user["custom_attributes"]["plan"] = json!("starter");
        user["companies"] = json!({"companies": [{"company_id": "305", "name": "New"}]});
        user["location_data"] = json!(7);
        user["email"] = json!("found@acme.com");
    }));
    let body = get(&world, "/users?email=found@acme.com").await.body;
    assert_eq!((body.get("avatar"), &body["location_data"]), (None, &json!(7)));
    assert_eq!(body["custom_attributes"]["plan"], "starter");
    assert_eq!(body["companies"]["companies"][0]["name"], "New");
    assert!(!world.set_user("5714dd359a3fd47136000001", |_| ()));
}

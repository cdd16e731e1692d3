//! The scroll: one at a time, up to the empty page, expired after a minute.

use intercom_simulator::{Options, World};
use serde_json::json;

use crate::call::{get, ids, options, pass, world};

async fn open(world: &World) -> String {
    let first = get(world, "/users/scroll").await;
    assert_eq!(first.status, 200, "{:?}", first.body);
    first.body["scroll_param"].as_str().unwrap().to_owned()
}

fn next(param: &str) -> String {
    format!("/users/scroll?scroll_param={param}")
}

#[tokio::test(start_paused = true)]
async fn every_user_is_in_exactly_one_page() {
    let world = world(&[]);
    let first = get(&world, "/users/scroll").await;
    let param = first.body["scroll_param"].as_str().unwrap().to_owned();
    assert_eq!((first.body["type"].as_str(), param.len()), (Some("user.list"), 36));
    let mut seen = ids(&first.body);
    assert_eq!(seen.len(), 100);
    for size in [100, 50, 0] {
        let page = get(&world, &next(&param)).await;
        assert_eq!(page.body["scroll_param"], json!(param), "the same on every page, the empty one too");
        assert_eq!(ids(&page.body).len(), size);
        seen.extend(ids(&page.body));
    }
    let all: Vec<String> = world.users().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen, all);
    assert_eq!(get(&world, &next(&param)).await.error(), (404, "not_found"), "a finished scroll is gone");
    open(&world).await;
    let state = world.state();
    assert_eq!((state.pages, state.pages_distinct_users, state.pages_users, state.second_scrolls), (5, 250, 350, 0));
}

#[tokio::test(start_paused = true)]
async fn second_scroll_is_refused_until_the_first_expires() {
    let world = world(&[]);
    let param = open(&world).await;
    pass(60).await;
    let second = get(&world, "/users/scroll").await;
    assert_eq!(second.error(), (400, "scroll_exists"));
    assert_eq!(second.body["errors"][0]["message"], "scroll already exists for this workspace");
    assert_eq!(world.state().second_scrolls, 1);
    assert_eq!(get(&world, &next(&param)).await.status, 200, "the refusal did no harm to the first");
    pass(61).await;
    let late = get(&world, &next(&param)).await;
    assert_eq!(late.body["errors"][0]["message"], "scroll parameter not found");
    assert_ne!(open(&world).await, param);
    assert_eq!(world.state().second_scrolls, 1, "after the expiry it is no second scroll");
}

#[tokio::test(start_paused = true)]
async fn refused_request_does_not_extend_the_scroll() {
    let world = World::new(Options { rate_limit_per_10s: 1, ..options(&[]) });
    let param = open(&world).await;
    pass(50).await;
    get(&world, "/counts").await;
    assert_eq!(get(&world, &next(&param)).await.status, 429);
    pass(11).await;
    assert_eq!(get(&world, &next(&param)).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn rotating_parameter_replaces_the_previous_one() {
    let world = World::new(Options { rotating_scroll_param: true, ..options(&[]) });
    let first = open(&world).await;
    let page = get(&world, &next(&first)).await;
    assert_ne!(page.body["scroll_param"], json!(first));
    assert_eq!(get(&world, &next(&first)).await.status, 404);
    let latest = page.body["scroll_param"].as_str().unwrap();
    assert_eq!(ids(&get(&world, &next(latest)).await.body).len(), 50);
}

#[tokio::test(start_paused = true)]
async fn users_change_during_a_scroll() {
    let world = world(&["users-change"]);
    let param = open(&world).await;
    while !ids(&get(&world, &next(&param)).await.body).is_empty() {}
    let state = world.state();
    assert_eq!(state.users_changed.len(), 2 * state.pages as usize);
    assert!(!state.users_added.is_empty() && !state.users_deleted.is_empty());
    assert_eq!(state.users_total, 250 + state.users_added.len() - state.users_deleted.len());
    assert!(state.users_added.iter().all(|id| world.user(id).is_some()));
    assert!(state.users_deleted.iter().all(|id| world.user(id).is_none()));
}

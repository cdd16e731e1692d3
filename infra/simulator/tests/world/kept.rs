//! Values that the workspace does not keep as written, and values of other programs.

use intercom_simulator::{Options, World};
use serde_json::{Value, json};

use crate::call::{get, id, options, outcome, pass, world};

/// Writes `note` to the first user, and returns the value that a read by id shows.
async fn written(world: &World, value: &Value) -> Value {
    let user = id(world, 0);
    let errors = outcome(world, &[json!({"id": user, "custom_attributes": {"note": value, "other": value}})]).await;
    assert_eq!(errors, []);
    let read = get(world, &format!("/users/{user}")).await.body;
    let unaltered = read["custom_attributes"]["other"] == *value;
    assert!(unaltered || world.state().fired.contains_key("others-write"), "{read}");
    read["custom_attributes"]["note"].clone()
}

#[tokio::test(start_paused = true)]
async fn attribute_is_stored_in_the_chosen_form() {
    for (how, value, stored) in [
        ("ignore", json!(true), Value::Null),
        ("null", json!(7), Value::Null),
        ("trim", json!(" a "), json!("a")),
        ("cut", json!("a long text"), json!("a long tex")),
        ("escape", json!("a & b"), json!("a &amp; b")),
        ("text", json!(49.5), json!("49.5")),
        ("whole", json!(49.5), json!(50.0)),
    ] {
        let world = world(&[&format!("alter-attribute=note:{how}")]);
        assert_eq!(written(&world, &value).await, stored, "{how}");
        assert_eq!(world.state().fired, [("alter-attribute".to_owned(), 1)].into());
    }
    let world = world(&["alter-attribute=note:text"]);
    assert_eq!((written(&world, &json!("a")).await, world.state().fired.len()), (json!("a"), 0));
}

#[tokio::test(start_paused = true)]
async fn another_program_writes_once_after_us() {
    let world = world(&["others-write=100%"]);
    let others = written(&world, &json!(7)).await;
    assert!(others != json!(7) && !others.is_null());
    assert_eq!(world.state().users_changed, [id(&world, 0)]);
    assert_eq!(written(&world, &json!(7)).await, json!(7), "the second write stays");
}

#[tokio::test(start_paused = true)]
async fn read_by_id_can_lag_behind_a_write() {
    let world = World::new(Options { read_lag_s: 60, ..options(&[]) });
    let user = id(&world, 0);
    outcome(&world, &[json!({"id": user, "custom_attributes": {"note": 7}})]).await;
    let path = format!("/users/{user}");
    assert_eq!(get(&world, &path).await.body["custom_attributes"].get("note"), None);
    pass(60).await;
    assert_eq!(get(&world, &path).await.body["custom_attributes"]["note"], 7);
}

#[tokio::test(start_paused = true)]
async fn token_can_lack_access_to_its_workspace() {
    let world = world(&["deny-me"]);
    assert_eq!(get(&world, "/me").await.status, 403);
    assert_eq!(get(&world, "/users?per_page=1").await.body["users"][0]["app_id"], "sim1app0");
}

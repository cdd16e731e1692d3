//! Values that the workspace does not keep as written, and values of other programs.

use intercom_simulator::{Options, World};
use serde_json::{Value, json};

use crate::call::{get, id, options, outcome, pass, world};
use crate::contacts::{put, read, send_json};
use crate::versions::chosen;

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
        ("cut", json!("a long text about this user, and more"), json!("a long text about this user, and")),
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

/// Writes `note` to a contact, and returns the values of the answer and of a read by id.
async fn put_note(world: &World, user: &str, value: i64) -> [Value; 2] {
    let answer = put(world, user, &json!({"custom_attributes": {"note": value}})).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let note = |body: &Value| body["custom_attributes"]["note"].clone();
    [note(&answer.body), note(&read(world, user, "2.17").await.body)]
}

#[tokio::test(start_paused = true)]
async fn contacts_are_stored_in_the_chosen_form() {
    let world = chosen(&["attribute=note:integer"], &["alter-attribute=note:text"]);
    assert_eq!(put_note(&world, &id(&world, 0), 7).await, [json!("7"), json!("7")]);
    let (user, body) = (id(&world, 1), |user: &str| json!({"id": user, "custom_attributes": {"note": 8}}));
    let bulk = json!({ "contacts": [body(&user)] });
    assert_eq!(send_json(&world, "PUT", "/contacts/bulk", "Preview", &bulk).await.status, 202);
    pass(3).await;
    assert_eq!(read(&world, &user, "2.17").await.body["custom_attributes"]["note"], "8");
    assert_eq!(world.state().fired, [("alter-attribute".to_owned(), 2)].into());
}

#[tokio::test(start_paused = true)]
async fn another_program_writes_after_a_put() {
    let world = chosen(&["attribute=note:integer"], &["others-write=100%"]);
    let user = id(&world, 0);
    let [answer, later] = put_note(&world, &user, 7).await;
    assert!(answer == 7 && later != 7, "{answer} {later}");
    assert_eq!(put_note(&world, &user, 7).await, [json!(7), json!(7)], "the second write stays");
}

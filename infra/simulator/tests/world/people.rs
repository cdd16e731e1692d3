//! The variety of the users, and the repeatability of a seed.

use std::collections::HashSet;

use intercom_simulator::{Options, World};
use serde_json::Value;

fn people(seed: u64) -> Vec<Value> {
    World::new(Options { users: 2000, seed, started_at_s: Some(1_480_550_400), ..Options::default() }).users()
}

#[tokio::test(start_paused = true)]
async fn users_depend_on_the_seed_only() {
    assert_eq!(people(1), people(1));
    assert_ne!(people(1), people(2));
}

#[tokio::test(start_paused = true)]
async fn users_have_the_variety_of_a_real_workspace() {
    let people = people(1);
    let some = |what: &str, test: &dyn Fn(&Value) -> bool| assert!(people.iter().any(test), "{what}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    some("upload", &|user| text(&user["avatar"]["image_url"]).contains("/square_128"));
    some("identicon", &|user| text(&user["avatar"]["image_url"]).contains("d=identicon"));
    some("no picture", &|user| user["avatar"].get("image_url") == Some(&Value::Null));
    some("null avatar", &|user| user.get("avatar") == Some(&Value::Null));
    some("absent avatar", &|user| user.get("avatar").is_none());
    some("null email", &|user| user["email"].is_null());
    some("invalid email", &|user| user["email"].is_string() && !text(&user["email"]).contains('@'));
    some("uppercase email", &|user| text(&user["email"]).contains("@ACME.COM"));
    some("null name", &|user| user["name"].is_null());
    some("long name", &|user| text(&user["name"]).len() > 1000);
    some("no plan", &|user| user["custom_attributes"].get("plan").is_none());
    for companies in 0..3 {
        some("companies", &|user| user["companies"]["companies"].as_array().map(Vec::len) == Some(companies));
    }
    let prices: HashSet<String> =
        people.iter().map(|user| user["custom_attributes"]["plan_price"].to_string()).collect();
    assert!(prices.is_superset(&["49", "49.0", "\"49\"", "null"].map(str::to_owned).into()), "{prices:?}");
    let ids: HashSet<String> = people.iter().map(|user| text(&user["id"])).collect();
    assert!(ids.len() == 2000 && ids.iter().all(|id| id.len() == 24));
}

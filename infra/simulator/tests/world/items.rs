//! The effect of one item on one user, and refused values.

use intercom_simulator::{NullAttribute, Options, World};
use serde_json::{Value, json};

use crate::call::{get, id, items, options, outcome, pass, post, world};

#[tokio::test(start_paused = true)]
async fn invalid_values_are_item_errors_without_effect() {
    let world = world(&[]);
    let users = world.users();
    let (user, other) = (users[0]["id"].clone(), users.iter().skip(1).find(|user| user["email"].is_string()).unwrap());
    let attribute = |name: &str, value: Value| json!({"id": user, "name": "X", "custom_attributes": {name: value}});
    for (data, code) in [
        (attribute("a", json!([1])), "bad_request"),
        (attribute("a", json!({"b": 1})), "bad_request"),
        (attribute("a", json!("ä".repeat(256))), "parameter_invalid"),
        (attribute("a.b", json!(1)), "parameter_invalid"),
        (attribute("", json!(1)), "parameter_invalid"),
        (json!({"id": user, "custom_attributes": 1}), "type_mismatch"),
        (json!({"id": user, "name": 5}), "type_mismatch"),
        (json!({"id": user, "email": "serenity.io"}), "invalid"),
        (json!({"id": user, "email": other["email"]}), "unique_user_constraint"),
        (json!({"id": user, "companies": [{"name": "no id"}]}), "type_mismatch"),
        (json!({"id": "5714dd359a3fd47136000001"}), "not_found"),
        (json!({"id": "nonsense", "email": "new@acme.com"}), "not_found"),
    ] {
        let errors = outcome(&world, std::slice::from_ref(&data)).await;
        assert_eq!(errors.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), [code], "{data}");
    }
    assert_eq!(world.users(), users);
}

#[tokio::test(start_paused = true)]
async fn valid_values_are_stored_unchanged() {
    let world = world(&[]);
    let user = id(&world, 0);
    let values =
        json!({"flag": false, "price": 49.5, "long": "ä".repeat(255), "at": 1_475_569_818, "has avatar": true});
    assert!(outcome(&world, &[json!({"id": user, "custom_attributes": values, "name": null})]).await.is_empty());
    let body = world.user(&user).unwrap();
    assert_eq!(body["name"], json!(null));
    for (name, value) in values.as_object().unwrap() {
        assert_eq!(&body["custom_attributes"][name], value);
    }
}

#[tokio::test(start_paused = true)]
async fn null_is_stored_or_removes_the_attribute() {
    for (null_attribute, expected) in [(NullAttribute::Stored, Some(json!(null))), (NullAttribute::Removed, None)] {
        let world = World::new(Options { null_attribute, ..options(&[]) });
        let user = id(&world, 0);
        for value in [json!(1), json!(null)] {
            outcome(&world, &[json!({"id": user, "custom_attributes": {"a": value}})]).await;
        }
        let body = world.user(&user).unwrap();
        assert_eq!(body["custom_attributes"].get("a").cloned(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn user_is_created_found_and_deleted() {
    let world = world(&[]);
    let new = json!({"email": "new@acme.com", "user_id": "n1", "custom_attributes": {"plan": "free"}});
    assert!(outcome(&world, &[new, json!({"email": "NEW@acme.com", "name": "Again"})]).await.is_empty());
    assert_eq!(world.state().users_total, 251);
    let found = get(&world, "/users?user_id=n1").await.body;
    assert_eq!((&found["name"], &found["custom_attributes"]["plan"]), (&json!("Again"), &json!("free")));
    let delete = json!({"items": [{"method": "delete", "data_type": "user", "data": {"user_id": "n1"}}]});
    post(&world, "/bulk/users", &delete).await;
    pass(2).await;
    assert_eq!(get(&world, "/users?email=new@acme.com").await.error(), (404, "not_found"));
}

#[tokio::test(start_paused = true)]
async fn company_is_renamed_for_all_members() {
    let world = world(&[]);
    let company = |user: &Value, at: usize| user["companies"]["companies"][at].clone();
    let members: Vec<Value> =
        world.users().into_iter().filter(|user| company(user, 0)["company_id"] == "305").collect();
    let before = members[0]["companies"]["companies"].as_array().unwrap().len();
    let rename = json!({"id": members[0]["id"], "companies": [{"company_id": "305", "name": "Serenity"}]});
    assert!(members.len() > 1 && outcome(&world, &[rename]).await.is_empty());
    for member in &members {
        let now = world.user(member["id"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&company(&now, 0)["name"], &company(&now, 0)["id"]),
            (&json!("Serenity"), &company(member, 0)["id"])
        );
    }
    let join = json!({"id": members[0]["id"], "companies": [{"company_id": "new"}]});
    outcome(&world, &[join]).await;
    let now = world.user(members[0]["id"].as_str().unwrap()).unwrap();
    assert_eq!(now["companies"]["companies"].as_array().unwrap().len(), before + 1);
    assert_eq!(company(&now, before)["name"], "new");
}

#[tokio::test(start_paused = true)]
async fn workspace_has_at_most_250_attributes() {
    let world = world(&[]);
    let many: serde_json::Map<String, Value> = (0..245).map(|number| (format!("a{number}"), json!(number))).collect();
    assert!(outcome(&world, &[json!({"id": id(&world, 0), "custom_attributes": many})]).await.is_empty());
    let one_more = json!({"id": id(&world, 1), "custom_attributes": {"a0": 1, "too much": 1}});
    assert_eq!(outcome(&world, &[one_more]).await[0].0, "custom_data_limit_reached");
}

#[tokio::test(start_paused = true)]
async fn one_user_can_be_written_without_a_job() {
    let world = world(&[]);
    let user = id(&world, 0);
    let done = post(&world, "/users", &json!({"id": user, "custom_attributes": {"a": false}})).await;
    assert_eq!((done.status, &done.body["custom_attributes"]["a"]), (200, &json!(false)));
    assert_eq!(post(&world, "/users", &json!({"id": user, "email": "@"})).await.error(), (400, "invalid"));
    assert_eq!(post(&world, "/users", &json!({"name": "unknown"})).await.status, 422);
    assert_eq!(post(&world, "/bulk/users", &items(&[json!({"id": user})])).await.status, 202);
}

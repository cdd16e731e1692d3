//! `POST /contacts/search` and `POST /contacts`, and the index behind the search and the list.

use std::collections::BTreeSet;

use intercom_simulator::{Gone, World};
use serde_json::{Value, json};

use crate::call::{Answer, id, pass};
use crate::contacts::{list, put, send_json};
use crate::versions::chosen;

async fn search(world: &World, version: &str, body: &Value) -> Answer {
    send_json(world, "POST", "/contacts/search", version, body).await
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body["data"].as_array().unwrap().iter().map(|contact| contact["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn search_finds_equal_values() {
    let world = chosen(&["leads=3"], &[]);
    let user = world.users().into_iter().find(|user| user["email"].is_string()).unwrap();
    let filter =
        |field: &str, operator: &str, value: &Value| json!({"field": field, "operator": operator, "value": value});
    for query in [
        filter("email", "=", &user["email"]),
        json!({"operator": "AND", "value": [filter("email", "IN", &json!([user["email"]])), filter("role", "=", &json!("user"))]}),
        json!({"operator": "OR", "value": [filter("id", "=", &user["id"]), filter("id", "=", &json!("none"))]}),
    ] {
        assert_eq!(
            ids(&search(&world, "2.17", &json!({"query": query})).await),
            [user["id"].as_str().unwrap()],
            "{query}"
        );
    }
    let leads = search(&world, "2.17", &json!({"query": filter("role", "=", &json!("lead"))})).await;
    assert_eq!((ids(&leads).len(), &leads.body["total_count"]), (3, &json!(3)));
    let plan = search(&world, "2.17", &json!({"query": filter("custom_attributes.plan", "=", &json!("free"))})).await;
    let free = world.users().iter().filter(|user| user["custom_attributes"]["plan"] == "free").count();
    assert!(plan.body["total_count"].as_u64().unwrap() >= free as u64);
}

#[tokio::test(start_paused = true)]
async fn cursor_of_a_search_is_in_its_body() {
    let world = chosen(&[], &[]);
    let query = json!({"field": "role", "operator": "=", "value": "user"});
    let mut body = json!({"query": query, "pagination": {"per_page": 150}, "sort": {"field": "created_at", "order": "descending"}});
    let first = search(&world, "2.17", &body).await;
    let cursor = first.body["pages"]["next"]["starting_after"].clone();
    let path = format!("/contacts/search?starting_after={}", cursor.as_str().unwrap().replace('=', "%3D"));
    assert_eq!(ids(&send_json(&world, "POST", &path, "2.17", &body).await), ids(&first), "page 1 comes again");
    body["pagination"]["starting_after"] = cursor;
    let second = search(&world, "2.17", &body).await;
    assert_eq!((ids(&second).len(), second.body["pages"].get("next")), (100, None));
    let all: BTreeSet<String> = [ids(&first), ids(&second)].concat().into_iter().collect();
    assert_eq!(all.len(), 250);
    assert!(first.body["data"][0]["created_at"].as_i64() > second.body["data"][0]["created_at"].as_i64());
    body["sort"]["order"] = "desc".into();
    assert_eq!(search(&world, "2.15", &body).await.status, 200);
    assert_eq!(search(&world, "2.16", &body).await.error(), (400, "invalid_sort_order"));
}

#[tokio::test(start_paused = true)]
async fn times_are_days_or_seconds_by_version() {
    let world = chosen(&[], &[]);
    let user = &world.users()[100];
    let at = user["created_at"].as_i64().unwrap();
    let count = async |version: &str, operator: &str, value: i64| {
        let query = json!({"query": {"field": "created_at", "operator": operator, "value": value}});
        search(&world, version, &query).await.body["total_count"].as_u64()
    };
    assert_eq!(count("2.17", "=", at).await, Some(1));
    assert_eq!(count("2.17", "=", at + 1).await, Some(0));
    let other_time_of_the_day = at.div_euclid(86_400) * 86_400 + (at + 1) % 86_400;
    assert!(count("2.16", "=", other_time_of_the_day).await >= Some(1));
    assert_eq!(count("2.17", "<=", at).await, Some(101));
    let refused = json!({"query": {"field": "created_at", "operator": "<=", "value": at}});
    assert_eq!(search(&world, "2.16", &refused).await.status, 422);
}

#[tokio::test(start_paused = true)]
async fn search_lags_like_the_list() {
    let world = chosen(&["index-lag-s=60"], &[]);
    let user = id(&world, 0);
    put(&world, &user, &json!({"name": "Only one"})).await;
    let query = json!({"query": {"field": "name", "operator": "=", "value": "Only one"}});
    assert!(ids(&search(&world, "2.17", &query).await).is_empty());
    pass(60).await;
    assert_eq!(ids(&search(&world, "2.17", &query).await), [user]);
}

#[tokio::test(start_paused = true)]
async fn contact_is_created_once() {
    let world = chosen(&[], &[]);
    let create = async |body: Value| send_json(&world, "POST", "/contacts", "2.17", &body).await;
    let made = create(json!({"external_id": "new", "email": "new@example.com", "name": "New", "phone": null})).await;
    assert_eq!((made.status, &made.body["role"], &made.body["name"]), (200, &json!("user"), &json!("New")));
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!(world.user(&id).unwrap()["user_id"], "new");
    for body in [json!({"external_id": "new"}), json!({"email": "NEW@example.com"})] {
        let taken = create(body).await;
        assert_eq!(taken.error(), (409, "conflict"));
        let message = format!("A contact matching those details already exists with id={id}");
        assert_eq!(taken.body["errors"][0]["message"], message);
    }
    world.lose_contact(&id, Gone::Archived);
    let archived = create(json!({"external_id": "new"})).await;
    assert!(archived.body["errors"][0]["message"].as_str().unwrap().starts_with("An archived contact"));
    assert_eq!(create(json!({"name": "x"})).await.status, 400);
    assert_eq!(create(json!({"external_id": "y", "custom_attributes": {"unknown": 1}})).await.status, 400);
    assert_eq!(world.users().len(), 250, "a refused contact is not created");
    let lead = create(json!({"role": "lead", "external_id": "ignored", "email": null})).await.body;
    assert_eq!(lead["email"], Value::Null);
    assert_eq!((&lead["role"], lead["external_id"].as_str().unwrap().len()), (&json!("lead"), 36));
}

/// A user that is born during the request for a page is no earlier in the index than any other change.
#[tokio::test(start_paused = true)]
async fn index_lags_behind_the_changes_of_its_own_request() {
    let world = chosen(&["index-lag-s=60"], &["users-change"]);
    let total = async || list(&world, "per_page=1").await.body["total_count"].as_u64().unwrap();
    for _ in 0..20 {
        assert_eq!(total().await, 250);
    }
    let state = world.state();
    let (added, deleted) = (state.users_added.len() as u64, state.users_deleted.len() as u64);
    assert!(added > 0 && deleted > 0);
    pass(60).await;
    assert_eq!(total().await, 250 + added - deleted);
}

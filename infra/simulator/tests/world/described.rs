//! A workspace that a file describes.

use axum::body::Body;
use intercom_simulator::{Described, DescribedError, Options, World};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::call::{get, ids, items, options, outcome, pass, post, request};

const ANN: &str = "5714dd359a3fd47136000001";
const BEN: &str = "5714dd359a3fd47136000002";

fn world(file: &Value) -> World {
    let described = Described::from_json(&file.to_string()).unwrap();
    World::new(options(&[]).described(&described))
}

fn users() -> Value {
    let company = json!({"type": "company", "company_id": "7", "id": "574854e3ecd0c547ae0000e4", "name": "A & B"});
    json!([
        {"id": ANN, "name": "Ann", "referrer": "google", "avatar": "no object", "custom_attributes": {"n": 1}},
        {"id": BEN, "name": "O'Neil", "email": 7, "companies": {"type": "company.list", "companies": [company]}},
    ])
}

#[tokio::test(start_paused = true)]
async fn users_are_shown_as_the_file_has_them() {
    let world = world(&json!({"users": users(), "page_size": 1}));
    let page = get(&world, "/users/scroll").await.body;
    assert_eq!(ids(&page), [ANN]);
    let ann = &page["users"][0];
    for (field, value) in users()[0].as_object().unwrap() {
        assert_eq!(&ann[field], value, "{field}");
    }
    assert!(ann.get("phone").is_none(), "{ann}");
    let ben = get(&world, &format!("/users/{BEN}")).await.body;
    assert_eq!((&ben["email"], &ben["companies"]["companies"][0]["name"]), (&json!(7), &json!("A & B")));
    let patch = json!({"id": BEN, "name": "Ben", "custom_attributes": {"n": 2}});
    assert!(outcome(&world, &[patch]).await.is_empty());
    let ben = world.user(BEN).unwrap();
    assert_eq!((&ben["name"], &ben["custom_attributes"]), (&json!("Ben"), &json!({"n": 2})));
}

#[tokio::test(start_paused = true)]
async fn quirks_change_reads_and_writes() {
    let gone = json!({"errors": [{"code": "contact_merged"}]});
    let world = world(&json!({"users": users(), "quirks": {
        "count": 5000, "ignored": ["n"], "escape_names": true, "strip": true,
        "replace": [["\"google\"", "\"\\ud83d\""]],
        "deny_body": {format!("/users/{BEN}"): [410, gone]},
        "posts": [{"id": BEN, "status": 500, "body": {"errors": []}}],
    }}));
    assert_eq!(get(&world, "/counts").await.body["user"]["count"], 5000);
    let denied = get(&world, &format!("/users/{BEN}")).await;
    assert_eq!((denied.status, denied.body), (410, gone));
    let page = world.router().oneshot(request("GET", "/users/scroll").body(Body::empty()).unwrap()).await.unwrap();
    let page = axum::body::to_bytes(page.into_body(), usize::MAX).await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    for raw in ["O&#39;Neil", "A &amp; B", r#""\ud83d""#] {
        assert!(page.contains(raw), "{page}");
    }
    assert_eq!(world.user(BEN).unwrap()["name"], "O'Neil", "the workspace holds the text");
    let patch = |id| json!({"id": id, "name": " Ann ", "custom_attributes": {"n": 2, "m": " x "}});
    assert_eq!(post(&world, "/bulk/users", &items(&[patch(ANN), patch(BEN)])).await.status, 500);
    assert_eq!(post(&world, "/bulk/users", &items(&[patch(ANN)])).await.status, 202);
    pass(3).await;
    let ann = world.user(ANN).unwrap();
    assert_eq!((&ann["name"], &ann["custom_attributes"]), (&json!("Ann"), &json!({"n": 1, "m": "x"})));
}

#[test]
fn invalid_workspace_file_is_refused() {
    for (file, says) in [
        ("{", "EOF"),
        (r#"{"users": [{"id": "7"}]}"#, "user 0"),
        (r#"{"users": [], "quirk": {}}"#, "quirk"),
        (r#"{"users": [], "quirks": {"striped": true}}"#, "striped"),
    ] {
        let error: DescribedError = Described::from_json(file).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let none = Described::from_json(r#"{"users": []}"#).unwrap();
    assert_eq!((none.users(), World::new(Options::default().described(&none)).users().len()), (0, 0));
}

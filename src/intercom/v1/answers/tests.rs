use super::super::get_page;
use super::*;
use crate::domain::api::Submitted;
use proptest::prelude::*;
use serde_json::json;

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

fn after(param: &str) -> Position {
    Position::Scroll { param: param.to_owned() }
}

fn read_page(body: &Value) -> Result<Page, UnreadableBody> {
    page(&bytes(body), &Projection::Whole)
}

#[test]
fn a_page_has_users_a_cursor_and_a_count_of_unreadable_ones() {
    let body = json!({"type": "user.list", "scroll_param": "25b649f7",
        "users": [{"id": "a1", "email": "ann@example.com"}, {"email": "x"}, null, {"id": 7}, {"id": "b2"}]});
    let page = read_page(&body).unwrap();
    let ids: Vec<&str> = page.users.iter().map(|user| user.id().as_str()).collect();
    assert_eq!((ids, page.unreadable, page.next), (vec!["a1", "b2"], 3, Some(after("25b649f7"))));
    assert_eq!(page.users[0].body()["email"], "ann@example.com");
}

#[test]
fn only_names_of_people_and_companies_are_unescaped() {
    let body = json!({"users": [{
        "id": "a1", "name": "Siobh\u{e1}n O&#39;Brien &amp;amp;", "email": "a&amp;b@example.com",
        "custom_attributes": {"name": "A &amp; B"},
        "companies": {"companies": [{"company_id": "&amp;", "name": "A &amp; B"}, {"name": null}, 7]},
    }, {"id": "b2", "name": 7, "companies": []}]});
    let page = read_page(&body).unwrap();
    let ann = page.users[0].body();
    assert_eq!((&ann["name"], &ann["email"]), (&json!("Siobh\u{e1}n O'Brien &amp;"), &json!("a&amp;b@example.com")));
    assert_eq!(ann["custom_attributes"]["name"], "A &amp; B");
    assert_eq!(ann["companies"]["companies"], json!([{"company_id": "&amp;", "name": "A & B"}, {"name": null}, 7]));
    assert_eq!(page.users[1].body(), &json!({"id": "b2", "name": 7, "companies": [], "role": "user"}));
    assert_eq!(user(br#"{"id": "a1", "name": "&lt;3"}"#).unwrap().body()["name"], "<3");
}

#[test]
fn a_name_with_invalid_unicode_costs_no_page() {
    let page = page(br#"{"users": [{"id": "a1", "name": "Zo\ud83d"}, {"id": "b2"}]}"#, &Projection::Whole).unwrap();
    assert_eq!((page.users.len(), page.unreadable), (2, 0));
    assert_eq!(page.users[0].body()["name"], "Zo\u{fffd}");
}

#[test]
fn the_last_page_is_empty_and_may_still_carry_the_cursor() {
    for (there, next) in [(json!("25b649f7"), Some(after("25b649f7"))), (json!(null), None), (json!(""), None)] {
        let page = read_page(&json!({"users": [], "scroll_param": there})).unwrap();
        assert!(page.is_end());
        assert_eq!(page.next, next);
    }
    assert!(read_page(&json!({"users": []})).unwrap().is_end());
}

#[test]
fn an_answer_without_users_is_not_the_end() {
    for body in [
        json!({}),
        json!([]),
        json!({"users": null}),
        json!({"users": {}}),
        json!({"companies": [], "scroll_param": "x"}),
        json!({"users": [], "scroll_param": 5}),
        json!({"users": [], "scroll_param": "x".repeat(CURSOR_BYTES_MAX + 1)}),
    ] {
        assert!(read_page(&body).is_err(), "{body:.80}");
    }
    assert!(page(b"", &Projection::Whole).is_err() && page(b"{\"users\":[", &Projection::Whole).is_err());
}

#[test]
fn a_jobs_state_comes_from_its_tasks() {
    use JobState::{Completed, CompletedWithErrors, Open};
    for (state, tasks, expected) in [
        ("running", json!(null), Open),
        ("completed", json!([]), Open),
        ("running", json!([{"state": "pending"}]), Open),
        ("running", json!([{"state": "completed"}, {"state": "running"}]), Open),
        ("completed", json!([{"state": "of a new kind"}]), Open),
        ("running", json!([{}, 7]), Open),
        ("running", json!([{"state": "completed"}]), Completed),
        ("completed_with_errors", json!([{"state": "completed"}]), CompletedWithErrors),
        ("running", json!([{"state": "completed"}, {"state": "completed_with_errors"}]), CompletedWithErrors),
        ("failed", json!([{"state": "failed"}]), CompletedWithErrors),
    ] {
        let body = json!({"id": "job_1", "created_at": 1_475_494_652, "state": state, "tasks": tasks});
        let id = JobId::new("job_1").unwrap();
        assert_eq!(job_state(&bytes(&body), &id), Ok(expected), "{body}");
        assert_eq!(bulk_jobs::submitted(&bytes(&body)), Ok(Submitted::Job { id, created_at_s: Some(1_475_494_652) }));
    }
}

#[test]
fn a_job_needs_an_id_that_is_safe_in_a_path() {
    for id in [json!(null), json!(7), json!(""), json!("../me"), json!("job 1")] {
        assert!(bulk_jobs::submitted(&bytes(&json!({ "id": id }))).is_err(), "{id}");
    }
}

#[test]
fn an_error_feed_is_read_by_id_and_its_texts_are_redacted() {
    let body = json!({"type": "job_item.list", "pages": {}, "items": [
        {"data": {"id": "a1"}, "error": {"code": "invalid", "message": "email ann@example.com invalid"}},
        {"data": {"user_id": "32", "email": "serenity.io"}, "error": {"type": "not_found"}},
        {"data": {"id": "../x"}},
        null,
    ]});
    let feed = job_errors(&bytes(&body)).unwrap();
    let item = |user: Option<&str>, code: &str, message: &str| ItemError {
        user: user.and_then(UserId::new),
        code: code.into(),
        message: message.into(),
    };
    let none = item(None, NO_CODE, NO_MESSAGE);
    let mail = item(Some("a1"), "invalid", "email [e-mail] invalid");
    let expected = [mail, item(None, "not_found", NO_MESSAGE), none.clone(), none];
    assert_eq!((feed.items, feed.more), (expected.to_vec(), false));
}

#[test]
fn an_error_feed_ends() {
    let item = json!({"error": {"code": "invalid"}});
    for (items, pages, more) in [
        (json!([item]), json!({"next": "https://api.intercom.io/jobs/x/error?page=2"}), true),
        (json!([item]), json!({"next": {"page": 2}}), true),
        (json!([item]), json!({"page": 1, "total_pages": 2}), true),
        (json!([item]), json!({"page": 2, "total_pages": 2}), false),
        (json!([item]), json!({"next": null, "page": 1, "total_pages": 2}), false),
        (json!([item]), json!(null), false),
        (json!([]), json!({"next": "https://api.intercom.io/jobs/x/error?page=2"}), false),
    ] {
        let feed = job_errors(&bytes(&json!({"items": items, "pages": pages}))).unwrap();
        assert_eq!(feed.more, more, "{pages}");
    }
    assert!(job_errors(b"{}").is_err());
}

#[test]
fn the_count_is_read() {
    assert_eq!(count_users(br#"{"type":"count.hash","company":{"count":8},"user":{"count":12239}}"#), Ok(12239));
    for body in [&br#"{"user":{"count":-1}}"#[..], br#"{"user":{"count":"9"}}"#, br#"{"user":null}"#] {
        assert!(count_users(body).is_err());
    }
}

/// Calls every parser with the same bytes.
fn read_all(body: &[u8]) {
    if let Ok(page) = page(body, &Projection::Whole) {
        let ids = super::page(body, &Projection::keys([("id", Projection::Whole)])).unwrap();
        assert_eq!((ids.digest, &ids.next, ids.unreadable), (page.digest, &page.next, page.unreadable));
        assert!(page.next.is_none_or(|next| get_page(&next).is_ok()));
    }
    if let Ok(feed) = job_errors(body) {
        assert!(feed.items.iter().all(|item| !item.code.is_empty() && item.message.chars().count() <= 300));
    }
    let _ = (user(body), bulk_jobs::submitted(body), job_state(body, &JobId::new("job_1").unwrap()), count_users(body));
}

/// JSON of any shape, often with the keys that the parsers read.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "(completed|failed|running|a1|job_1)".prop_map(Value::from),
    ];
    let key = "(users|id|scroll_param|tasks|state|items|data|error|code|message|pages|next|user|count|app|id_code)";
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&body);
    }

    #[test]
    fn no_json_makes_a_parser_panic(body in any_json(), cut in any::<prop::sample::Index>()) {
        let body = bytes(&body);
        read_all(&body);
        read_all(&body[..cut.index(body.len())]);
    }
}

#[test]
fn depth_and_huge_numbers_are_unreadable_not_fatal() {
    let deep = format!("{{\"users\":[{}", "[".repeat(1_000_000));
    for body in [deep.as_str(), "{\"users\":[{\"id\":\"a1\",\"n\":1e99999}]}", "{\"users\":[]}}", "{'users':[]}"] {
        assert!(page(body.as_bytes(), &Projection::Whole).is_err(), "{body:.40}");
    }
}

#[test]
fn users_name_their_workspace() {
    let of = |users: Value| workspace_of_users(json!({ "users": users }).to_string().as_bytes());
    assert_eq!(of(json!([{"id": "a", "app_id": "yf209ops"}])), Ok(Some("yf209ops".to_owned())));
    for users in [json!([]), json!([{"id": "a"}]), json!([{"app_id": "../etc"}]), json!([{"app_id": 7}])] {
        assert_eq!(of(users.clone()), Ok(None), "{users}");
    }
    assert!(workspace_of_users(b"{}").is_err());
}

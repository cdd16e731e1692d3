//! Faults of API 2.x.

use axum::body::Body;
use intercom_simulator::{ContactFault, Fault, World};
use serde_json::json;
use tokio::time::Instant;

use crate::call::{Answer, id, request, send};
use crate::contacts::{all, list, put, read};
use crate::versions::{call, chosen};

async fn try_put(world: &World, id: &str, name: &str) -> Option<Answer> {
    let request = request("PUT", &format!("/contacts/{id}")).header("intercom-version", "2.17");
    send(world, request.body(Body::from(json!({ "name": name }).to_string())).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn answer_is_lost_before_or_after_the_effect() {
    for (fault, carried_out, status) in [
        ("lose-call", true, None),
        ("drop-call", false, None),
        ("error-call", false, Some(500)),
        ("late-error-call", true, Some(500)),
        ("limit-call", false, Some(429)),
        ("limit-call-bare", false, Some(429)),
        ("empty-call", true, Some(200)),
        ("unavailable-call", false, Some(503)),
    ] {
        let world = chosen(&[], &[&format!("{fault}=write:2")]);
        let user = id(&world, 0);
        assert!(try_put(&world, &user, "first").await.is_some_and(|answer| answer.status == 200));
        let answer = try_put(&world, &user, "second").await;
        assert_eq!(answer.as_ref().map(|answer| answer.status), status, "{fault}");
        let bare = matches!(fault, "limit-call-bare" | "unavailable-call");
        assert!(answer.is_none_or(|answer| answer.header("x-ratelimit-limit").is_none() == bare), "{fault}");
        assert_eq!(read(&world, &user, "2.17").await.body["name"] == "second", carried_out, "{fault}");
        assert_eq!(world.state().contacts.written, 1 + u64::from(carried_out), "{fault}");
        assert_eq!(world.state().fired, [(fault.to_owned(), 1)].into());
        assert!(try_put(&world, &user, "third").await.is_some_and(|answer| answer.status == 200));
    }
}

#[tokio::test(start_paused = true)]
async fn each_operation_can_be_struck() {
    let faults = ["me", "list", "read", "create", "search", "attributes", "add-attribute", "bulk", "poll"];
    let faults = faults.map(|operation| format!("error-call={operation}:1"));
    let world = chosen(&[], &faults.each_ref().map(String::as_str));
    for (method, path) in [
        ("GET", "/me"),
        ("GET", "/contacts"),
        ("GET", "/contacts/x"),
        ("POST", "/contacts"),
        ("POST", "/contacts/search"),
        ("GET", "/data_attributes"),
        ("POST", "/data_attributes"),
        ("PUT", "/contacts/bulk"),
        ("GET", "/contacts/bulk/x"),
    ] {
        for expected in [true, false] {
            let struck = call(&world, method, path, Some("Preview")).await.status == 500;
            assert_eq!(struck, expected, "{method} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn token_can_lack_one_permission() {
    let world = chosen(&[], &["forbid-call=attributes"]);
    for _ in 0..2 {
        let refused = call(&world, "GET", "/data_attributes", Some("2.17")).await;
        assert_eq!(refused.error(), (403, "forbidden"));
    }
    assert_eq!(call(&world, "GET", "/contacts", Some("2.17")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn list_can_repeat_shift_and_end_early() {
    let repeated = chosen(&[], &["repeat-cursor=2"]);
    let pages = all(&repeated, 100).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 100, 50]);
    assert_eq!(pages[1], pages[2]);
    let whole = all(&chosen(&[], &[]), 100).await.concat();
    for cursor in ["contact-cursor=contact", "contact-cursor=page"] {
        let shifted = chosen(&[cursor], &["shift-list=2"]);
        let seen = all(&shifted, 100).await.concat();
        assert_eq!(seen.len(), 249, "{cursor}");
        assert!(!seen.contains(&whole[100]), "{cursor}: the page skips one contact");
        assert_eq!(shifted.state().users_deleted, [whole[0].clone()]);
    }
    let ended = chosen(&[], &["end-list=2"]);
    assert_eq!(all(&ended, 100).await.concat().len(), 200);
    let refused = chosen(&[], &["refuse-cursor=2"]);
    let cursor = list(&refused, "per_page=100").await.body["pages"]["next"]["starting_after"].clone();
    let query = format!("per_page=100&starting_after={}", cursor.as_str().unwrap().replace('=', "%3D"));
    assert_eq!(list(&refused, &query).await.error(), (400, "client_error"));
    assert_eq!(list(&refused, &query).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn contacts_and_attributes_go_in_mid_run() {
    let world = chosen(&[], &["gone-contact=merged:20%", "remove-attribute=plan:40"]);
    let mut statuses = Vec::new();
    for user in world.users().iter().take(100) {
        let id = user["id"].as_str().unwrap();
        statuses.push(put(&world, id, &json!({"custom_attributes": {"plan": "free"}})).await.status);
    }
    let state = world.state();
    let merged = statuses.iter().filter(|status| **status == 410).count();
    assert!((5..40).contains(&merged) && state.contacts.gone.len() == merged, "{merged}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 40);
    assert_eq!((state.contacts.written, state.contacts.refused), (40, 60));
    assert_eq!((state.users_deleted.len(), state.users_total), (merged, 250 - merged));
    assert_eq!(state.fired["remove-attribute"], 1);
}

#[tokio::test(start_paused = true)]
async fn faults_of_bulk_items_strike_writes() {
    for (fault, status, code) in [
        ("bad-item=100%", 400, "parameter_invalid"),
        ("poison-item=423:100%", 423, "locked"),
        ("item-error=100%:invalid:email invalid", 400, "invalid"),
        ("item-limited=100%", 429, "rate_limit_exceeded"),
    ] {
        let world = chosen(&[], &[fault]);
        let user = id(&world, 0);
        assert_eq!(put(&world, &user, &json!({"name": "x"})).await.error(), (status, code));
        let again = put(&world, &user, &json!({"name": "x"})).await.status;
        assert_eq!(again == 200, status == 429, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn recorded_times_are_an_option() {
    let world = chosen(&["server-times=recorded"], &["slow-call=read:2:70"]);
    let user = id(&world, 0);
    let began = Instant::now();
    for _ in 0..100 {
        put(&world, &user, &json!({"name": "x"})).await;
    }
    assert_eq!(began.elapsed().as_millis(), 99 * 110 + 270);
    let began = Instant::now();
    read(&world, &user, "2.17").await;
    assert_eq!(began.elapsed().as_millis(), 70);
    read(&world, &user, "2.17").await;
    assert_eq!(began.elapsed().as_millis(), 70 + 70 + 70_000);
}

#[test]
fn every_contact_fault_in_the_help_can_be_read() {
    let mut count = 0;
    for line in ContactFault::NAMES_HELP.lines().filter(|line| !line.starts_with(' ')) {
        let fault = line.split("  ").next().unwrap().parse::<Fault>().unwrap();
        assert!(matches!(&fault, Fault::Contacts(_)) && line.starts_with(fault.name()), "{line}");
        count += 1;
    }
    assert_eq!(count, 17, "a fault is missing from the help or from this test");
    for (text, example) in [("lose-call=3", "`lose-call=write:3`"), ("gone-contact=5%", "`gone-contact=merged:5%`")] {
        let wrong = text.parse::<Fault>().unwrap_err().to_string();
        assert!(wrong.contains(example), "{wrong}");
    }
    assert!("lose-calls=write:3".parse::<Fault>().unwrap_err().to_string().contains("\nlose-call=write:3"));
}

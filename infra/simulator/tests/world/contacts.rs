//! Contacts are listed, read and written as API 2.x does it.

use std::collections::BTreeSet;

use axum::body::Body;
use intercom_simulator::{Gone, World};
use serde_json::{Value, json};

use crate::call::{Answer, get, id, outcome, pass, request, send};
use crate::versions::{call, chosen};

const NEW: Option<&str> = Some("2.17");

pub(crate) async fn send_json(world: &World, method: &str, path: &str, version: &str, body: &Value) -> Answer {
    let request = request(method, path).header("intercom-version", version).body(Body::from(body.to_string()));
    send(world, request.unwrap()).await.unwrap()
}

pub(crate) async fn put(world: &World, id: &str, body: &Value) -> Answer {
    send_json(world, "PUT", &format!("/contacts/{id}"), "2.17", body).await
}

pub(crate) async fn read(world: &World, id: &str, version: &str) -> Answer {
    call(world, "GET", &format!("/contacts/{id}"), Some(version)).await
}

pub(crate) async fn list(world: &World, query: &str) -> Answer {
    call(world, "GET", &format!("/contacts?{query}"), NEW).await
}

/// Returns the ids of all pages, in their order.
pub(crate) async fn all(world: &World, per_page: usize) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(world, &format!("per_page={per_page}{after}")).await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        let data = page.body["data"].as_array().unwrap();
        pages.push(data.iter().map(|contact| contact["id"].as_str().unwrap().to_owned()).collect());
        let Some(cursor) = page.body["pages"]["next"]["starting_after"].as_str() else { return pages };
        after = format!("&starting_after={}", cursor.replace('+', "%2B").replace('=', "%3D"));
    }
}

#[tokio::test(start_paused = true)]
async fn list_shows_each_contact_once() {
    for choices in [&[][..], &["contact-order=shuffled"], &["contact-cursor=page"]] {
        let world = chosen(&[choices, &["leads=30"]].concat(), &[]);
        let pages = all(&world, 100).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 80]);
        let ids: BTreeSet<String> = pages.concat().into_iter().collect();
        assert_eq!(ids.len(), 280);
        assert_eq!(pages.concat().is_sorted(), choices != ["contact-order=shuffled"]);
        let known = [world.users(), world.leads()].concat();
        assert_eq!(known.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), ids);
        let state = world.state().contacts;
        assert_eq!((state.lists, state.listed, state.listed_distinct), (3, 280, 280));
    }
}

#[tokio::test(start_paused = true)]
async fn list_has_the_recorded_form() {
    let world = chosen(&["leads=1"], &[]);
    let page = list(&world, "").await.body;
    assert_eq!((&page["type"], &page["total_count"]), (&json!("list"), &json!(251)));
    assert_eq!(page["data"].as_array().unwrap().len(), 10);
    assert_eq!(page["pages"]["total_pages"], 26);
    assert_eq!(page["pages"]["next"]["page"], 2);
    let last = all(&world, 150).await;
    assert_eq!(last[1].len(), 101);
    let page = list(&world, "per_page=150").await.body;
    assert_eq!(page["pages"]["per_page"], 150);
    for (query, code) in [
        ("per_page=151", "parameter_invalid"),
        ("per_page=0", "parameter_invalid"),
        ("starting_after=abc", "client_error"),
    ] {
        assert_eq!(list(&world, query).await.error(), (400, code), "{query}");
    }
    let capped = chosen(&["larger-page=accepted"], &[]);
    assert_eq!(list(&capped, "per_page=500").await.body["data"].as_array().unwrap().len(), 150);
}

#[tokio::test(start_paused = true)]
async fn contact_is_the_user_in_other_words() {
    let world = chosen(&["custom-object=Order"], &[]);
    for user in world.users().iter().take(60) {
        let contact = read(&world, user["id"].as_str().unwrap(), "2.17").await.body;
        for (old, new) in [
            ("id", "id"),
            ("user_id", "external_id"),
            ("email", "email"),
            ("phone", "phone"),
            ("name", "name"),
            ("created_at", "created_at"),
            ("updated_at", "updated_at"),
            ("signed_up_at", "signed_up_at"),
            ("last_request_at", "last_seen_at"),
            ("app_id", "workspace_id"),
        ] {
            assert_eq!(user[old], contact[new], "{old}");
        }
        assert_eq!((&contact["type"], &contact["role"]), (&json!("contact"), &json!("user")));
        assert_eq!(user["location_data"]["country_name"], contact["location"]["country"]);
        assert_eq!(contact["custom_attributes"]["Order"]["type"], "Order.list");
        let companies = user["companies"]["companies"].as_array().unwrap();
        assert_eq!(contact["companies"]["total_count"], companies.len());
        assert!(contact["companies"]["data"].as_array().unwrap().iter().all(|company| company.get("name").is_none()));
    }
    let old = read(&world, &id(&world, 0), "2.3").await.body;
    assert!(old.get("utm_source").is_none() && old["location"].get("country_code").is_none());
}

#[tokio::test(start_paused = true)]
async fn write_is_read_by_both_families() {
    let world = chosen(&["attribute=seats:integer"], &[]);
    let user = id(&world, 0);
    let body = json!({"name": "Zoë", "phone": null, "custom_attributes": {"seats": 3, "plan": null},
        "avatar": "https://example.com/a.png", "signed_up_at": 1_480_000_000});
    let answer = put(&world, &user, &body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.body, read(&world, &user, "2.17").await.body);
    let old = get(&world, &format!("/users/{user}")).await.body;
    assert_eq!(
        (&old["name"], &old["phone"], &old["custom_attributes"]["seats"]),
        (&json!("Zoë"), &json!(null), &json!(3))
    );
    assert_eq!(old["custom_attributes"].get("plan"), Some(&json!(null)));
    assert_eq!(old["avatar"], json!({"type": "avatar", "image_url": "https://example.com/a.png"}));
    assert_eq!(old["signed_up_at"], 1_480_000_000);
    outcome(&world, &[json!({"id": user, "custom_attributes": {"made on the fly": true}, "name": "Ada"})]).await;
    let new = read(&world, &user, "2.17").await.body;
    assert_eq!((&new["name"], &new["custom_attributes"]["made on the fly"]), (&json!("Ada"), &json!(true)));
    assert_eq!(put(&world, &user, &json!({"custom_attributes": {"made on the fly": false}})).await.status, 200);
    assert_eq!(world.user(&user).unwrap()["custom_attributes"]["made on the fly"], false);
    assert_eq!(world.state().contacts.written, 2);
    assert_eq!(world.state().used_by_window.values().sum::<u64>(), 7, "each request of 2.x is one operation");
}

#[tokio::test(start_paused = true)]
async fn nulls_follow_their_fields() {
    let world = chosen(&[], &[]);
    let user = world.users().into_iter().find(|user| user["email"].is_string() && user["user_id"].is_string()).unwrap();
    let id = user["id"].as_str().unwrap();
    let answer = put(&world, id, &json!({"email": null, "external_id": null, "name": null, "avatar": null})).await.body;
    assert_eq!((&answer["email"], &answer["external_id"]), (&json!(""), &user["user_id"]));
    assert_eq!((&answer["name"], &answer["avatar"]), (&json!(null), &json!(null)));
    let listed = list(&world, "per_page=150").await.body;
    let listed = listed["data"].as_array().unwrap().iter().find(|contact| contact["id"] == id).unwrap();
    assert_eq!(listed["email"], Value::Null, "the index has null");
    let plain = chosen(&["email-null=null"], &[]);
    assert_eq!(put(&plain, id, &json!({"email": null})).await.body["email"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn put_is_refused_as_recorded() {
    let world = chosen(
        &[
            "attribute=old:string:archived",
            "attribute=fixed:string:read-only",
            "attribute=colour:string:Red|Blue",
            "leads=1",
        ],
        &[],
    );
    let (user, other) = (id(&world, 0), id(&world, 1));
    let external = world.users().iter().find_map(|user| Some(user["user_id"].as_str()?.to_owned())).unwrap();
    for (body, status, code, message) in [
        (json!({"custom_attributes": {"nope": 1}}), 400, "parameter_invalid", "Custom attribute 'nope' does not exist"),
        (
            json!({"custom_attributes": {"plan": {}}}),
            400,
            "bad_request",
            "Value:  not of type Numeric, String or Boolean",
        ),
        (json!({"custom_attributes": {"colour": "Green"}}), 400, "parameter_invalid", "does not have this option"),
        (json!({"custom_attributes": {"fixed": "x"}}), 400, "parameter_invalid", "not writable"),
        (json!({"role": "lead"}), 400, "client_error", "Contact with user role can't be converted to a lead"),
        (json!({"owner_id": "7"}), 400, "parameter_invalid", "The owner specified is not a member of the workspace"),
        (json!({"owner_id": 4_518_167}), 400, "type_mismatch", "owner_id"),
        (json!({"email_verified": true}), 400, "parameter_invalid", "email"),
        (json!({"email": "no address"}), 400, "invalid", "email invalid"),
    ] {
        let answer = put(&world, &user, &body).await;
        assert_eq!(answer.error(), (status, code), "{body}");
        assert!(answer.body["errors"][0]["message"].as_str().unwrap().contains(message), "{:?}", answer.body);
    }
    let taken = put(&world, &other, &json!({"external_id": external})).await;
    assert!(taken.status == 409 || world.user(&other).unwrap()["user_id"] == external.as_str());
    let archived = put(&world, &user, &json!({"custom_attributes": {"old": "x"}})).await;
    assert_eq!((archived.status, archived.body["custom_attributes"].get("old")), (200, None));
    assert_eq!(put(&world, &user, &json!({"unknown": 1})).await.status, 200);
    let strict = chosen(&["unknown-field=refused", "value-type=refused"], &[]);
    assert_eq!(put(&strict, &user, &json!({"unknown": 1})).await.error(), (400, "bad_request"));
    let wrong = put(&strict, &user, &json!({"custom_attributes": {"has avatar": "yes"}})).await;
    assert_eq!(wrong.error(), (400, "parameter_invalid"));
}

#[tokio::test(start_paused = true)]
async fn lost_contacts_are_refused_by_version() {
    let world = chosen(&[], &[]);
    let ids: Vec<String> = (1..5).map(|number| id(&world, number)).collect();
    for (id, how) in ids.iter().zip([Gone::Merged, Gone::Archived, Gone::Deleted, Gone::Blocked]) {
        assert!(world.lose_contact(id, how));
    }
    for (version, status) in [("2.15", 404), ("2.16", 410), ("Preview", 410)] {
        let merged = read(&world, &ids[0], version).await;
        assert_eq!(merged.status, status, "{version}");
        let link = format!("</contacts/{}>; rel=\"canonical\"", id(&world, 0));
        assert_eq!(merged.header("link"), (status == 410).then_some(link.as_str()));
        let path = format!("/contacts/{}", ids[0]);
        assert_eq!(send_json(&world, "PUT", &path, version, &json!({"name": "x"})).await.status, status);
    }
    for id in &ids[1..3] {
        assert_eq!(read(&world, id, "2.17").await.error(), (404, "not_found"));
        assert_eq!(put(&world, id, &json!({"name": "x"})).await.error(), (404, "not_found"));
    }
    assert_eq!(read(&world, &ids[3], "2.17").await.status, 200);
    assert_eq!(put(&world, &ids[3], &json!({"name": "x"})).await.error(), (400, "not_restorable"));
    let old = send_json(&world, "PUT", &format!("/contacts/{}", ids[1]), "2.6", &json!({})).await;
    assert_eq!(old.body["errors"][0]["message"], "Contact Not Found");
    assert_eq!(list(&world, "").await.body["total_count"], 247);
    let missing = chosen(&["merged-write=missing"], &[]);
    missing.lose_contact(&ids[0], Gone::Merged);
    assert_eq!(
        (read(&missing, &ids[0], "2.17").await.status, put(&missing, &ids[0], &json!({})).await.status),
        (410, 404)
    );
    let canonical = chosen(&["merged-write=canonical"], &[]);
    canonical.lose_contact(&ids[0], Gone::Merged);
    assert_eq!(read(&canonical, &ids[0], "2.17").await.status, 410);
    assert_eq!(put(&canonical, &ids[0], &json!({})).await.body["id"], id(&canonical, 0));
}

#[tokio::test(start_paused = true)]
async fn index_lags_and_a_read_by_id_does_not() {
    let world = chosen(&["index-lag-s=60", "leads=2"], &[]);
    let (first, second) = (id(&world, 0), id(&world, 1));
    let name = async |world: &World| list(world, "per_page=1").await.body["data"][0]["name"].clone();
    let before = name(&world).await;
    put(&world, &first, &json!({"name": "New"})).await;
    put(&world, &first, &json!({"name": "Newer"})).await;
    world.lose_contact(&second, Gone::Archived);
    assert_eq!(read(&world, &first, "2.17").await.body["name"], "Newer");
    assert_eq!((name(&world).await, list(&world, "").await.body["total_count"].clone()), (before.clone(), json!(252)));
    assert!(all(&world, 150).await.concat().contains(&second));
    pass(59).await;
    assert_eq!(name(&world).await, before);
    pass(1).await;
    assert_eq!((name(&world).await, list(&world, "").await.body["total_count"].clone()), (json!("Newer"), json!(251)));
    assert!(!all(&world, 150).await.concat().contains(&second));
}

#[tokio::test(start_paused = true)]
async fn archived_contacts_can_stay_listed() {
    let world = chosen(&["archived=listed"], &[]);
    let user = id(&world, 3);
    let archived = call(&world, "POST", &format!("/contacts/{user}/archive"), NEW).await;
    assert_eq!(archived.body, json!({"id": user, "object": "contact", "archived": true}));
    assert!(all(&world, 150).await.concat().contains(&user));
    assert_eq!(read(&world, &user, "2.17").await.status, 404);
    assert_eq!(call(&world, "POST", &format!("/contacts/{user}/unarchive"), NEW).await.status, 200);
    assert_eq!(read(&world, &user, "2.17").await.status, 200);
    assert_eq!(call(&world, "DELETE", &format!("/contacts/{user}"), NEW).await.body["deleted"], true);
    assert_eq!(all(&world, 150).await.concat().len(), 249);
}

#[tokio::test(start_paused = true)]
async fn lead_can_become_a_user() {
    let world = chosen(&["leads=2"], &[]);
    let lead = world.leads()[0]["id"].as_str().unwrap().to_owned();
    let body = read(&world, &lead, "2.17").await.body;
    assert_eq!((&body["role"], body["external_id"].as_str().unwrap().len()), (&json!("lead"), 36));
    assert_eq!(get(&world, &format!("/users/{lead}")).await.status, 404);
    let user = put(&world, &lead, &json!({"role": "user", "external_id": "converted"})).await.body;
    assert_eq!((&user["role"], &user["external_id"]), (&json!("user"), &json!("converted")));
    assert_eq!(get(&world, &format!("/users/{lead}")).await.body["user_id"], "converted");
    assert_eq!((world.leads().len(), world.users().len()), (1, 251));
}

#[tokio::test(start_paused = true)]
async fn owner_has_the_type_of_its_version() {
    let world = chosen(&[], &[]);
    let path = format!("/contacts/{}", id(&world, 0));
    for (version, owner) in [("2.15", json!(4_518_167)), ("2.16", json!("4518167"))] {
        let answer = send_json(&world, "PUT", &path, version, &json!({"owner_id": owner})).await;
        assert_eq!((answer.status, &answer.body["owner_id"]), (200, &owner), "{version}");
    }
}

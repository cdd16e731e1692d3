//! `PUT /contacts/bulk` of Preview.

use intercom_simulator::World;
use serde_json::{Value, json};

use crate::call::{Answer, get, id, pass};
use crate::contacts::{read, send_json};
use crate::versions::{call, chosen};

async fn bulk(world: &World, contacts: &Value) -> Answer {
    send_json(world, "PUT", "/contacts/bulk", "Preview", &json!({"contacts": contacts})).await
}

async fn job(world: &World, id: &Value) -> Answer {
    call(world, "GET", &format!("/contacts/bulk/{}", id.as_str().unwrap()), Some("Preview")).await
}

/// Sends the contacts, and returns the state of the job when it has ended.
async fn ended(world: &World, contacts: &Value) -> String {
    let made = bulk(world, contacts).await;
    assert_eq!(made.status, 202, "{:?}", made.body);
    pass(3).await;
    job(world, &made.body["id"]).await.body["state"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn job_has_the_documented_form() {
    let world = chosen(&["bulk-job-delay-s=5"], &[]);
    let user = id(&world, 0);
    let made = bulk(&world, &json!([{"id": user, "name": "Bulk", "custom_attributes": {"plan": "free"}}])).await;
    assert_eq!((made.status, &made.body["type"]), (202, &json!("contacts.bulk.job")));
    assert_eq!((&made.body["state"], &made.body["tasks"][0]["state"]), (&json!("running"), &json!("pending")));
    assert_eq!((&made.body["completed_at"], &made.body["tasks"][0]["item_count"]), (&json!(null), &json!(1)));
    assert!(made.body.get("closing_at").is_none() && made.body.get("links").is_none());
    assert!(
        made.body["url"].as_str().unwrap().ends_with(&format!("/contacts/bulk/{}", made.body["id"].as_str().unwrap()))
    );
    pass(3).await;
    let later = job(&world, &made.body["id"]).await.body;
    assert_eq!((&later["state"], &later["tasks"][0]["state"]), (&json!("running"), &json!("completed")));
    pass(5).await;
    assert_eq!(job(&world, &made.body["id"]).await.body["state"], "completed");
    assert_eq!(get(&world, &format!("/users/{user}")).await.body["name"], "Bulk");
    assert_eq!(job(&world, &json!("job_v2_0")).await.error(), (404, "job_not_found"));
}

#[tokio::test(start_paused = true)]
async fn errors_show_in_the_task_or_in_the_job_alone() {
    for (option, of_task) in [("task", "completed_with_errors"), ("job", "completed")] {
        let world = chosen(&[&format!("bulk-errors={option}")], &[]);
        let made = bulk(&world, &json!([{"id": "ffffffffffffffffffffffff", "name": "x"}])).await;
        pass(3).await;
        let later = job(&world, &made.body["id"]).await.body;
        assert_eq!((&later["state"], &later["tasks"][0]["state"]), (&json!("completed_with_errors"), &json!(of_task)));
    }
}

#[tokio::test(start_paused = true)]
async fn bulk_is_of_preview_unless_chosen() {
    let contacts = json!({"contacts": []});
    let world = chosen(&[], &[]);
    let refused = send_json(&world, "PUT", "/contacts/bulk", "2.17", &contacts).await;
    assert_eq!(refused.error(), (400, "intercom_version_invalid"));
    let world = chosen(&["bulk-from=2.17"], &[]);
    assert_eq!(send_json(&world, "PUT", "/contacts/bulk", "2.17", &contacts).await.status, 422);
}

#[tokio::test(start_paused = true)]
async fn request_is_refused_as_documented() {
    let world = chosen(&[], &[]);
    let many: Vec<Value> = (0..101).map(|_| json!({"id": "x"})).collect();
    for (contacts, code, message) in [
        (json!(null), "field_not_found", "contacts field must be supplied"),
        (json!({}), "type_mismatch", "contacts must be an array"),
        (json!([1]), "type_mismatch", "each contact must be an object"),
        (json!([{"email": "a@example.com"}]), "field_not_found", "contacts must be identified by id"),
        (json!(many), "parameter_invalid", "maximum number of contacts per request is 100"),
    ] {
        let refused = bulk(&world, &contacts).await;
        assert_eq!(refused.error(), (422, code));
        assert_eq!(refused.body["errors"][0]["message"], message);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_items_show_in_the_state_alone() {
    let world = chosen(&[], &[]);
    let (first, second) = (id(&world, 0), id(&world, 1));
    let good = json!({"id": first, "custom_attributes": {"plan": "free"}});
    for bad in [
        json!({"id": second, "custom_attributes": {"unknown": 1}}),
        json!({"id": "5714dd359a3fd47136000001", "name": "x"}),
        json!({"id": second, "email": "no address"}),
    ] {
        assert_eq!(ended(&world, &json!([good, bad])).await, "completed_with_errors", "{bad}");
    }
    assert_eq!(read(&world, &first, "2.17").await.body["custom_attributes"]["plan"], "free");
    assert_eq!(ended(&world, &json!([good])).await, "completed");
}

#[tokio::test(start_paused = true)]
async fn bulk_drops_the_fields_it_does_not_know() {
    let world = chosen(&["leads=1"], &[]);
    let lead = world.leads()[0]["id"].as_str().unwrap().to_owned();
    let contact = json!({"id": lead, "role": "user", "signed_up_at": 1, "last_seen_at": 1, "phone": "+1",
        "companies": [{"company_id": "new", "name": "New"}]});
    assert_eq!(ended(&world, &json!([contact])).await, "completed");
    let read = read(&world, &lead, "2.17").await.body;
    assert_eq!((&read["role"], &read["phone"]), (&json!("lead"), &json!("+1")));
    assert!(read["signed_up_at"] != 1 && read["last_seen_at"] != 1);
    assert_eq!(read["companies"]["total_count"], 1, "a company is created");
}

#[tokio::test(start_paused = true)]
async fn null_in_bulk_has_three_meanings() {
    for (choice, state, name, plan) in [
        ("bulk-null=kept", "completed", json!(null), json!(null)),
        ("bulk-null=ignored", "completed", json!("Ada"), json!("free")),
        ("bulk-null=refused", "completed_with_errors", json!("Ada"), json!("free")),
    ] {
        let world = chosen(&[choice], &[]);
        let user = id(&world, 0);
        ended(&world, &json!([{"id": user, "name": "Ada", "custom_attributes": {"plan": "free"}}])).await;
        for contact in [json!({"id": user, "name": null}), json!({"id": user, "custom_attributes": {"plan": null}})] {
            assert_eq!(ended(&world, &json!([contact])).await, state, "{choice}");
        }
        let read = read(&world, &user, "2.17").await.body;
        assert_eq!((&read["name"], &read["custom_attributes"]["plan"]), (&name, &plan), "{choice}");
    }
}

#[tokio::test(start_paused = true)]
async fn bulk_is_charged_by_item_or_by_request() {
    for (choice, used) in [("bulk-charge=after", 50), ("bulk-charge=request", 1)] {
        let world = chosen(&[choice], &[]);
        let contacts: Vec<Value> = (0..50).map(|number| json!({"id": id(&world, number)})).collect();
        assert_eq!(bulk(&world, &json!(contacts)).await.status, 202);
        assert_eq!(world.state().used_by_window.values().sum::<u64>(), used, "{choice}");
    }
}

#[tokio::test(start_paused = true)]
async fn bulk_faults_of_old_jobs_strike_new_ones() {
    let world = chosen(&[], &["lose-bulk=1", "lose-job=2", "close-bulk=3", "lose-call=bulk:4", "error-bulk=4"]);
    let contacts = json!({"contacts": [{"id": id(&world, 0), "name": "x"}]});
    let send = async || {
        let request = crate::call::request("PUT", "/contacts/bulk").header("intercom-version", "Preview");
        crate::call::send(&world, request.body(contacts.to_string().into()).unwrap()).await
    };
    assert!(send().await.is_none());
    let lost = send().await.unwrap();
    assert_eq!(job(&world, &lost.body["id"]).await.error(), (404, "job_not_found"));
    assert_eq!(send().await.unwrap().error(), (403, "forbidden"));
    assert!(send().await.is_none());
    assert_eq!(send().await.unwrap().status, 500, "bulk request 4 of those that reached the jobs");
    let answered: Vec<bool> = world.state().jobs.iter().map(|job| job.answered).collect();
    assert_eq!(answered, [false, true, false]);
}

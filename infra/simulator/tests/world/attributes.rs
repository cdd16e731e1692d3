//! `/data_attributes` of API 2.x.

use intercom_simulator::World;
use serde_json::{Value, json};

use crate::call::{id, outcome, pass};
use crate::contacts::{put, send_json};
use crate::versions::{call, chosen};

async fn list(world: &World, query: &str) -> Vec<Value> {
    let answer = call(world, "GET", &format!("/data_attributes?{query}"), Some("2.17")).await;
    assert_eq!((answer.status, &answer.body["type"], answer.body.get("pages")), (200, &json!("list"), None));
    answer.body["data"].as_array().unwrap().clone()
}

async fn named(world: &World, name: &str) -> Option<Value> {
    list(world, "model=contact").await.into_iter().find(|attribute| attribute["name"] == name)
}

async fn add(world: &World, body: &Value) -> crate::call::Answer {
    send_json(world, "POST", "/data_attributes", "2.17", body).await
}

#[tokio::test(start_paused = true)]
async fn attributes_of_users_and_of_options_are_listed() {
    let world = chosen(&["attribute=colour:string:Red|Blue", "attribute=old:integer:archived"], &[]);
    for (name, data_type) in [("plan", "string"), ("has avatar", "boolean"), ("last_order_at", "date")] {
        let attribute = named(&world, name).await.unwrap();
        assert_eq!(attribute["data_type"], data_type, "{name}");
        assert_eq!(attribute["full_name"], format!("custom_attributes.{name}"));
        assert!(attribute["custom"] == true && attribute["id"].is_u64() && attribute["api_writable"] == true);
    }
    let colour = named(&world, "colour").await.unwrap();
    assert_eq!((&colour["data_type"], &colour["options"]), (&json!("string"), &json!(["Red", "Blue"])));
    assert!(named(&world, "old").await.is_none());
    let archived = list(&world, "model=contact&include_archived=true").await;
    assert!(archived.iter().any(|attribute| attribute["name"] == "old" && attribute["archived"] == true));
    let email = named(&world, "email").await.unwrap();
    assert_eq!((&email["custom"], email.get("id")), (&json!(false), None));
    assert!(list(&world, "model=company").await.iter().all(|attribute| attribute["model"] == "company"));
    for (version, data_type) in [("2.16", "date"), ("2.17", "datetime")] {
        let answer = call(&world, "GET", "/data_attributes?model=contact", Some(version)).await.body;
        let of = |name| answer["data"].as_array().unwrap().iter().find(|attribute| attribute["name"] == name).unwrap();
        assert_eq!(
            (&of("created_at")["data_type"], &of("last_order_at")["data_type"]),
            (&json!(data_type), &json!("date"))
        );
    }
    let order = named(&chosen(&["custom-object=Order:of_orders"], &[]), "Order").await.unwrap();
    assert_eq!((&order["data_type"], &order["custom"]), (&json!("of_orders"), &json!(true)));
    let conversation = call(&world, "GET", "/data_attributes?model=conversation", Some("2.16")).await;
    assert_eq!(conversation.error(), (422, "parameter_invalid"));
    outcome(&world, &[json!({"id": id(&world, 0), "custom_attributes": {"made on the fly": 1.5}})]).await;
    assert_eq!(named(&world, "made on the fly").await.unwrap()["data_type"], "float");
}

#[tokio::test(start_paused = true)]
async fn new_attribute_exists_after_a_while() {
    let world = chosen(&["attribute-after-s=30"], &[]);
    let user = id(&world, 0);
    let made = add(&world, &json!({"name": "seats", "model": "contact", "data_type": "integer"})).await;
    assert_eq!((made.status, &made.body["name"], &made.body["data_type"]), (200, &json!("seats"), &json!("integer")));
    let write = json!({"custom_attributes": {"seats": 3}});
    assert!(named(&world, "seats").await.is_none());
    assert_eq!(put(&world, &user, &write).await.error(), (400, "parameter_invalid"));
    pass(30).await;
    assert!(named(&world, "seats").await.is_some());
    assert_eq!(put(&world, &user, &write).await.body["custom_attributes"]["seats"], 3);
    let path = format!("/data_attributes/{}", made.body["id"]);
    let archived = send_json(&world, "PUT", &path, "2.17", &json!({"archived": true})).await;
    assert_eq!((archived.status, &archived.body["archived"]), (200, &json!(true)));
    let unknown = send_json(&world, "PUT", "/data_attributes/1", "2.17", &json!({"archived": true})).await;
    assert_eq!(unknown.error(), (404, "field_not_found"));
}

#[tokio::test(start_paused = true)]
async fn attribute_is_refused_as_documented() {
    let world = chosen(&[], &[]);
    let with = |name: &str, model: &str, data_type: &str| json!({"name": name, "model": model, "data_type": data_type});
    for (body, message) in [
        (with("plan", "contact", "string"), "You already have 'plan' in your people data."),
        (with("monthly_spend", "contact", "float"), "You already have 'monthly_spend' in your company data."),
        (with("a.b", "contact", "string"), "must only contain alphanumeric characters"),
        (with("new", "contact", "text"), "Data Type isn't an option"),
        (with("new", "deal", "string"), "model field must be either contact or company"),
        (with("new", "contact", "options"), "at least two"),
    ] {
        let refused = add(&world, &body).await;
        assert_eq!(refused.error(), (400, "parameter_invalid"), "{body}");
        assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains(message), "{:?}", refused.body);
    }
    let list = json!({"name": "size", "model": "contact", "data_type": "options", "options": [{"value": "1-10"}, {"value": "11-50"}]});
    let made = add(&world, &list).await.body;
    assert_eq!((&made["data_type"], &made["options"]), (&json!("string"), &json!(["1-10", "11-50"])));
    for number in 0.. {
        let made = add(&world, &with(&format!("attribute {number}"), "contact", "string")).await;
        if made.status != 200 {
            assert_eq!((made.error(), number > 200), ((400, "custom_data_limit_reached"), true));
            break;
        }
    }
}

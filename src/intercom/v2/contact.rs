//! A contact as a user with the field names that plans read, which are those of API 1.x.

use serde_json::{Map, Value, json};

use crate::domain::partial_json::Projection;
use crate::domain::user::User;

/// Fields with another name: of the contact, and of a user.
const RENAMED: [(&str, &str); 4] = [
    ("external_id", "user_id"),
    ("workspace_id", "app_id"),
    ("last_seen_at", "last_request_at"),
    ("last_replied_at", "last_heard_from_at"),
];

/// Fields of the location with another name.
const PLACES: [(&str, &str); 5] = [
    ("country", "country_name"),
    ("country_code", "country_code"),
    ("continent_code", "continent_code"),
    ("region", "region_name"),
    ("city", "city_name"),
];

/// Fields of a contact whose value is that of another field of a user, too.
const DERIVED: [(&str, &str); 2] = [("location", "location_data"), ("signed_up_at", "remote_created_at")];

/// Lists whose items have another key.
const LISTS: [&str; 3] = ["companies", "tags", "social_profiles"];

/// Returns the parts of a contact that [`user`] needs for these parts of a user: `id`, the role, and the
/// fields under each of their names.
pub(super) fn projection(of_user: &Projection) -> Projection {
    let Projection::Keys(fields) = of_user else { return Projection::Whole };
    let mut of_contact = fields.clone();
    for always in ["id", "role"] {
        of_contact.insert(always.to_owned(), Projection::Whole);
    }
    for (theirs, ours) in RENAMED.into_iter().chain(DERIVED) {
        if fields.contains_key(ours) {
            of_contact.insert(theirs.to_owned(), Projection::Whole);
        }
    }
    Projection::Keys(of_contact)
}

/// Returns a contact as a user; `None` without a usable id.
///
/// Relationship attributes (custom objects) are left out, except for their names: they are no values. A
/// field that Intercom does not send is absent and not null: otherwise a plan that reads it would find it
/// on each user.
pub(super) fn user(contact: Value) -> Option<User> {
    let Value::Object(mut contact) = contact else { return None };
    for (theirs, ours) in RENAMED {
        if let Some(value) = contact.remove(theirs) {
            contact.insert(ours.to_owned(), value);
        }
    }
    // A text from 2.16 on. Plans read a number in each version.
    if let Some(owner) = contact.get("owner_id").and_then(Value::as_str).and_then(|owner| owner.parse::<i64>().ok()) {
        contact.insert("owner_id".to_owned(), owner.into());
    }
    if contact.get("avatar").is_none_or(Value::is_null) {
        contact.insert("avatar".to_owned(), json!({"type": "avatar", "image_url": null}));
    }
    if let Some(Value::Object(location)) = contact.remove("location") {
        contact.insert("location_data".to_owned(), place(location));
    }
    for list in LISTS {
        if let Some(Value::Object(list_of)) = contact.get_mut(list)
            && let Some(items) = list_of.remove("data")
        {
            list_of.insert(list.to_owned(), items);
        }
    }
    let mut relationships = Vec::new();
    if let Some(Value::Object(attributes)) = contact.get_mut("custom_attributes") {
        attributes.retain(|name, value| {
            let is_relationship = value.is_object() || value.is_array();
            if is_relationship {
                relationships.push(name.clone());
            }
            !is_relationship
        });
    }
    // Plans distinguish users from leads by this field of 1.x.
    let is_lead = contact.get("role").and_then(Value::as_str) == Some("lead");
    contact.insert("anonymous".to_owned(), is_lead.into());
    contact.insert("type".to_owned(), "user".into());
    // 1.x calls it the time of the sign-up at the app, too.
    if let Some(signed_up_at) = contact.get("signed_up_at").cloned() {
        contact.insert("remote_created_at".to_owned(), signed_up_at);
    }
    Some(User::new(Value::Object(contact))?.with_relationships(relationships))
}

fn place(mut location: Map<String, Value>) -> Value {
    let mut place = Map::new();
    place.insert("type".to_owned(), "location_data".into());
    for (theirs, ours) in PLACES {
        if let Some(value) = location.remove(theirs) {
            place.insert(ours.to_owned(), value);
        }
    }
    place.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_has_the_fields_of_a_user() {
        let contact = json!({
            "type": "contact", "id": "6064d832015c86827b7c40e8", "workspace_id": "l4wp0knn", "external_id": "u1",
            "role": "user", "email": "a@b.c", "name": "Brian", "avatar": null, "last_seen_at": 7, "signed_up_at": 5,
            "location": {"type": "location", "country": "Ireland", "region": null, "city": "Dublin"},
            "companies": {"type": "list", "data": [{"id": "c1"}], "has_more": false},
            "custom_attributes": {"plan": "pro", "order": {"type": "Order.list", "instances": []}, "seats": null},
        });
        let user = user(contact).unwrap();
        assert_eq!(user.id().as_str(), "6064d832015c86827b7c40e8");
        let at = |path: &str| user.body().pointer(path).cloned();
        for (path, value) in [
            ("/user_id", json!("u1")),
            ("/app_id", json!("l4wp0knn")),
            ("/last_request_at", json!(7)),
            ("/remote_created_at", json!(5)),
            ("/avatar/image_url", Value::Null),
            ("/location_data/country_name", json!("Ireland")),
            ("/location_data/city_name", json!("Dublin")),
            ("/companies/companies/0/id", json!("c1")),
            ("/custom_attributes", json!({"plan": "pro", "seats": null})),
            ("/anonymous", json!(false)),
        ] {
            assert_eq!(at(path), Some(value), "{path}");
        }
        assert_eq!(at("/external_id"), None);
        assert_eq!(user.relationships(), ["order"]);
    }

    #[test]
    fn projected_contact_has_the_same_fields_of_a_user() {
        let contact = json!({
            "type": "contact", "id": "a1", "workspace_id": "w1", "external_id": "u1", "role": "lead", "email": "a@b.c",
            "avatar": {"image_url": "https://example.com/a.png"}, "owner_id": "7", "signed_up_at": 5,
            "last_seen_at": 7, "last_replied_at": 8, "location": {"type": "location", "city": "Dublin"},
            "companies": {"data": [{"id": "c1"}], "has_more": true}, "tags": {"data": []},
            "social_profiles": {"data": [{"name": "x"}]}, "custom_attributes": {"plan": "pro", "seats": 3},
        });
        let whole = user(contact.clone()).unwrap();
        for field in whole.body().as_object().unwrap().keys() {
            let of_user = Projection::keys([(field, Projection::Whole), ("id", Projection::Whole)]);
            let projected = user(projection(&of_user).read(contact.to_string().as_bytes()).unwrap()).unwrap();
            assert_eq!(projected.body()[field], whole.body()[field], "{field}");
            assert_eq!((projected.id(), projected.is_lead()), (whole.id(), true), "{field}");
            assert_eq!(projected.body().get("email").is_some(), field == "email", "{field}");
        }
        let plan = Projection::keys([("custom_attributes", Projection::keys([("plan", Projection::Whole)]))]);
        let projected = projection(&plan).read(contact.to_string().as_bytes()).unwrap();
        assert_eq!(projected, json!({"id": "a1", "role": "lead", "custom_attributes": {"plan": "pro"}}));
        assert_eq!(projection(&Projection::Whole), Projection::Whole);
    }

    /// In older versions a location has no `country_code`, for instance.
    #[test]
    fn field_that_intercom_does_not_send_is_absent() {
        let location = json!({"type": "location", "country": null, "city": "Dublin"});
        let user = user(json!({"id": "a1", "role": "user", "location": location})).unwrap();
        let place = json!({"type": "location_data", "country_name": null, "city_name": "Dublin"});
        assert_eq!(user.body()["location_data"], place);
        for name in ["user_id", "app_id", "last_request_at", "last_heard_from_at", "signed_up_at", "remote_created_at"]
        {
            assert_eq!(user.body().get(name), None, "{name}");
        }
    }

    #[test]
    fn owner_is_a_number_in_each_version() {
        let owner = |owner: Value| user(json!({"id": "a1", "owner_id": owner})).unwrap().body()["owner_id"].clone();
        for (theirs, ours) in [
            (json!(4_518_167), json!(4_518_167)),
            (json!("4518167"), json!(4_518_167)),
            (Value::Null, Value::Null),
            (json!("no number"), json!("no number")),
        ] {
            assert_eq!(owner(theirs), ours);
        }
    }

    #[test]
    fn a_lead_is_anonymous_and_an_avatar_is_kept() {
        let avatar = json!({"type": "avatar", "image_url": "https://example.com/a.png"});
        let lead = user(json!({"id": "a1", "role": "lead", "avatar": avatar})).unwrap();
        assert_eq!((&lead.body()["anonymous"], &lead.body()["avatar"]), (&json!(true), &avatar));
        assert!(user(json!({"role": "user"})).is_none() && user(json!("x")).is_none());
    }
}

//! Parsers of 2xx bodies. They assume nothing: a wrong type makes the answer unreadable, never a
//! panic. The reasons are fixed texts, because a parser's own message may quote a contact's data.

use serde_json::Value;

use super::super::Page;
use super::super::transport::body::{UnreadableBody, object, object_of};
use super::super::workspaces::is_plain;
use super::{CURSOR_BYTES_MAX, contact, update};
use crate::domain::api::Written;
use crate::domain::attribute::ListedAttribute;
use crate::domain::partial_json::Projection;
use crate::domain::patch::Patch;
use crate::domain::run::Position;
use crate::domain::user::User;

/// Parses `{"type":"list","data":[…],"total_count":3,"pages":{"next":{"starting_after":"…"}}}` with this
/// projection of each user. The last page has no `next`.
pub(in crate::intercom) fn page(body: &[u8], of_user: &Projection) -> Result<Page, UnreadableBody> {
    let contacts = Projection::Each(Box::new(contact::projection(of_user)));
    let fields = [("data", contacts), ("total_count", Projection::Whole), ("pages", Projection::Whole)];
    let mut body = object_of(body, &Projection::keys(fields))?;
    let next = match body.pointer("/pages/next") {
        None | Some(Value::Null) => Position::ListEnd,
        Some(next) => match next.get("starting_after").and_then(Value::as_str) {
            Some(after) if (1..=CURSOR_BYTES_MAX).contains(&after.len()) => Position::List { after: after.to_owned() },
            _ => return Err(UnreadableBody("its cursor is not a short text")),
        },
    };
    let count = body.get("total_count").and_then(Value::as_u64);
    let Some(Value::Array(contacts)) = body.get_mut("data").map(Value::take) else {
        return Err(UnreadableBody("it has no list of contacts"));
    };
    Ok(Page { count, ..Page::new(contacts.into_iter().map(contact::user), Some(next)) })
}

/// Parses a contact.
pub(in crate::intercom) fn user(body: &[u8]) -> Result<User, UnreadableBody> {
    contact::user(object(body)?).ok_or(UnreadableBody("the contact has no usable id"))
}

/// Parses the workspace's id, `{"data":[{"workspace_id":"…"}]}`; `None` without contacts.
pub(in crate::intercom) fn workspace_of_users(body: &[u8]) -> Result<Option<String>, UnreadableBody> {
    let id = Projection::Each(Box::new(Projection::keys([("workspace_id", Projection::Whole)])));
    let body = object_of(body, &Projection::keys([("data", id)]))?;
    let contacts = body.get("data").and_then(Value::as_array).ok_or(UnreadableBody("it has no list of contacts"))?;
    let ids = contacts.iter().filter_map(|contact| contact.get("workspace_id")?.as_str());
    Ok(ids.filter(is_plain).map(ToOwned::to_owned).next())
}

/// Returns whether a list has the form of API 2.x. In API 1.x the same address lists leads, as
/// `{"type":"contact.list","contacts":[…]}`.
pub(in crate::intercom) fn is_list(body: &[u8]) -> Result<bool, UnreadableBody> {
    let body = object(body)?;
    let is_list = body.get("type").and_then(Value::as_str) == Some("list");
    Ok(is_list && body.get("data").is_some_and(Value::is_array))
}

/// Parses the contact that a write returns. It may be another one than the patch's, for instance after a
/// merge.
pub(in crate::intercom) fn written(body: &[u8], patch: &Patch) -> Result<Written, UnreadableBody> {
    let contact = object_of(body, &update::projection(patch))?;
    match contact.get("id").and_then(Value::as_str) {
        Some(id) if id == patch.user.as_str() => {
            Ok(Written { not_kept: update::not_kept(&contact, patch), is_other: false })
        }
        Some(_) => Ok(Written { not_kept: Vec::new(), is_other: true }),
        None => Err(UnreadableBody("it is no contact")),
    }
}

/// Parses `{"type":"list","data":[{"name":"…","data_type":"…","custom":true,…}]}`; `None` for a body of
/// another form. Standard fields are left out, and so is an entry without a name: one unexpected entry
/// must not hide the others.
pub(in crate::intercom) fn attributes(body: &[u8]) -> Result<Option<Vec<ListedAttribute>>, UnreadableBody> {
    let body = object(body)?;
    let all = body.get("data").and_then(Value::as_array);
    Ok(all.map(|all| all.iter().filter_map(attribute).collect()))
}

/// Reads a custom attribute. A field that is null, missing or of another form has its default.
fn attribute(entry: &Value) -> Option<ListedAttribute> {
    let is = |field: &str| entry.get(field).and_then(Value::as_bool);
    let text = |field: &str| entry.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
    // An option is a text, or an object with it as in the request that creates one.
    let option = |option: &Value| option.as_str().or_else(|| option.get("value")?.as_str()).map(ToOwned::to_owned);
    let options = entry.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = text("name").filter(|_| is("custom") == Some(true))?;
    Some(ListedAttribute {
        name,
        data_type: text("data_type").unwrap_or_default(),
        archived: is("archived").unwrap_or(false),
        api_writable: is("api_writable").unwrap_or(true),
        options: options.iter().filter_map(option).collect(),
    })
}

/// Parses an attribute that was created.
pub(in crate::intercom) fn created_attribute(body: &[u8]) -> Result<(), UnreadableBody> {
    object(body).map(drop)
}

/// Parses the number of contacts, users and leads, of a list.
pub(in crate::intercom) fn count_users(body: &[u8]) -> Result<u64, UnreadableBody> {
    let body = object_of(body, &Projection::keys([("total_count", Projection::Whole)]))?;
    body.get("total_count").and_then(Value::as_u64).ok_or(UnreadableBody("it has no count of contacts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::patch::{Change, Target};
    use crate::domain::user::UserId;
    use serde_json::json;

    fn read(body: &Value) -> Result<Page, UnreadableBody> {
        page(body.to_string().as_bytes(), &Projection::Whole)
    }

    #[test]
    fn a_page_names_the_next_one_or_the_end() {
        let contact = json!({"type": "contact", "id": "a1", "role": "user"});
        let next = json!({"page": 2, "starting_after": "WzEsImExIiwyXQ=="});
        let body = |next: &Value| {
            json!({"type": "list", "data": [contact, {"id": 7}], "total_count": 3,
                "pages": {"type": "pages", "page": 1, "next": next, "per_page": 2, "total_pages": 2}})
        };
        let first = read(&body(&next)).unwrap();
        assert_eq!(first.next, Some(Position::List { after: "WzEsImExIiwyXQ==".into() }));
        assert_eq!((first.users.len(), first.unreadable, first.count), (1, 1, Some(3)));
        let last = read(&json!({"type": "list", "data": [], "pages": {"total_pages": 0}, "total_count": 0})).unwrap();
        assert_eq!((last.next.clone(), last.is_end()), (Some(Position::ListEnd), true));
        assert_eq!(read(&body(&Value::Null)).unwrap().next, Some(Position::ListEnd));
        for wrong in [json!({"starting_after": 5}), json!({"starting_after": ""}), json!("https://x"), json!({})] {
            assert!(read(&body(&wrong)).is_err(), "{wrong}");
        }
        assert!(read(&json!({"type": "list"})).is_err());
    }

    #[test]
    fn a_written_contact_is_the_patch_s() {
        let changes = vec![Change { target: Target::Attribute("a".into()), new: json!(true), replaced: None }];
        let patch = Patch { user: UserId::new("a1").unwrap(), changes };
        let answer = |body: Value| written(body.to_string().as_bytes(), &patch);
        assert!(answer(json!({"id": "a1", "custom_attributes": {"a": true}})).unwrap().not_kept.is_empty());
        assert_eq!(answer(json!({"id": "a1", "custom_attributes": {}})).unwrap().not_kept.len(), 1);
        assert!(answer(json!({"id": "b2", "custom_attributes": {"a": true}})).unwrap().is_other);
        assert!(answer(json!({"custom_attributes": {"a": true}})).is_err());
    }

    #[test]
    fn a_contact_names_its_workspace() {
        let of = |body: Value| workspace_of_users(body.to_string().as_bytes());
        let contact = json!({"id": "a1", "workspace_id": "l4wp0knn", "email": "a@b.c"});
        assert_eq!(of(json!({"data": [contact]})), Ok(Some("l4wp0knn".to_owned())));
        assert_eq!(of(json!({"data": []})), Ok(None));
        assert_eq!(of(json!({"data": [{"workspace_id": "../x"}]})), Ok(None));
        assert!(of(json!({})).is_err());
    }

    #[test]
    fn custom_attributes_are_listed() {
        let custom = json!({"id": 7, "name": "plan", "data_type": "string", "api_writable": true, "custom": true,
            "archived": true, "options": ["Red"], "model": "contact"});
        let standard = json!({"name": "email", "data_type": "string", "custom": false});
        let list = |data: Value| attributes(json!({"type": "list", "data": data}).to_string().as_bytes());
        let read = |name: &str, data_type: &str, archived, api_writable, options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            ListedAttribute { name: name.into(), data_type: data_type.into(), archived, api_writable, options }
        };
        assert_eq!(list(json!([standard, custom])), Ok(Some(vec![read("plan", "string", true, true, &["Red"])])));
        // Entries of an unexpected form, between others.
        let odd = json!([
            {"custom": true, "name": 5, "data_type": "string"},
            "x",
            {"custom": true, "name": "nulls", "data_type": null, "archived": null, "api_writable": null, "options": null},
            {"custom": true, "name": "bare"},
            {"custom": true, "name": "objects", "data_type": "string", "options": [{"value": "Red"}, "Blue", 7, {}]},
            {"custom": true, "name": "last", "data_type": "boolean", "api_writable": false},
        ]);
        let all = [
            read("nulls", "", false, true, &[]),
            read("bare", "", false, true, &[]),
            read("objects", "string", false, true, &["Red", "Blue"]),
            read("last", "boolean", false, false, &[]),
        ];
        assert_eq!(list(odd), Ok(Some(all.to_vec())));
        assert_eq!((list(json!(5)), attributes(b"{}")), (Ok(None), Ok(None)), "another form");
        assert!(attributes(b"").is_err() && attributes(b"{\"data\":[").is_err(), "cut off");
    }

    #[test]
    fn lists_of_1_x_have_another_form() {
        let of = |body: Value| is_list(body.to_string().as_bytes());
        assert_eq!(of(json!({"type": "list", "data": [], "total_count": 0})), Ok(true));
        assert_eq!(of(json!({"type": "contact.list", "contacts": [], "total_count": 0})), Ok(false));
        assert_eq!(of(json!({"type": "list", "contacts": []})), Ok(false));
        assert!(is_list(b"").is_err());
    }

    #[test]
    fn the_count_is_read_without_the_contact() {
        let body = json!({"data": [{"id": "a1"}], "total_count": 12});
        assert_eq!(count_users(body.to_string().as_bytes()), Ok(12));
        assert!(count_users(b"{}").is_err());
    }
}

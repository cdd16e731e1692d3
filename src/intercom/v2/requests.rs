//! The requests of Intercom's API 2.x, one function for each call.

use bytes::Bytes;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::super::transport::call::Call;
use super::super::transport::error::{Error, Invalid, route};
use super::super::transport::service::Operations;
use super::{CURSOR_BYTES_MAX, update};
use crate::domain::api::Api;
use crate::domain::attribute::PlannedAttribute;
use crate::domain::patch::Patch;
use crate::domain::run::Position;
use crate::domain::user::UserId;

/// The characters that a value of a query encodes: all except letters, digits and `-._~`. A cursor
/// may contain `=`, `+`, `/` and line ends.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The most contacts of a page, as the specification gives it for all versions.
const PER_PAGE: u32 = Api::V2.capabilities().page_users_max;

/// Builds the request for the page at this place.
pub(in crate::intercom) fn get_page(position: &Position) -> Result<Call, Error> {
    let path = match position {
        Position::First => format!("/contacts?per_page={PER_PAGE}"),
        Position::List { after } if (1..=CURSOR_BYTES_MAX).contains(&after.len()) => {
            format!("/contacts?per_page={PER_PAGE}&starting_after={}", utf8_percent_encode(after, RESERVED))
        }
        Position::List { .. }
        | Position::ListEnd
        | Position::Scroll { .. }
        | Position::Ids { .. }
        | Position::Retry(_)
        | Position::Undo(_) => {
            return Err(Error::Invalid { route: route::PAGE, reason: Invalid::Position });
        }
    };
    Ok(Call::get(route::PAGE, path))
}

/// Builds the request for the first contacts of the workspace.
pub(in crate::intercom) fn get_first_users() -> Call {
    Call::get(route::FIRST_USERS, "/contacts?per_page=50".to_owned())
}

/// Builds the request for any contact of the workspace. Each one has the workspace's id.
pub(in crate::intercom) fn get_any_user() -> Call {
    Call::get(route::ANY_USER, "/contacts?per_page=1".to_owned())
}

/// Builds the request for one contact.
pub(in crate::intercom) fn get_user(id: &UserId) -> Call {
    Call::get(route::USER, format!("/contacts/{id}"))
}

/// Builds the request that writes a patch.
pub(in crate::intercom) fn put_patch(patch: &Patch) -> Result<Call, Error> {
    let body = update::body(patch).map_err(|reason| Error::Invalid { route: route::SUBMIT, reason })?;
    Ok(Call {
        route: route::SUBMIT,
        method: Method::PUT,
        path: format!("/contacts/{}", patch.user),
        body: Bytes::from(body),
        operations: Operations::default(),
    })
}

/// Builds the request for the attributes of contacts. The answer is one list without pages.
pub(in crate::intercom) fn get_attributes() -> Call {
    Call::get(route::ATTRIBUTES, "/data_attributes?model=contact&include_archived=true".to_owned())
}

/// Builds the request that creates an attribute of contacts.
pub(in crate::intercom) fn post_attribute(attribute: &PlannedAttribute) -> Call {
    let (name, data_type) = (&attribute.name, attribute.kind.data_type());
    let body = json!({"name": name, "model": "contact", "data_type": data_type});
    Call {
        route: route::CREATE_ATTRIBUTE,
        method: Method::POST,
        path: "/data_attributes".to_owned(),
        body: Bytes::from(body.to_string()),
        operations: Operations::default(),
    }
}

/// Builds the request for the number of contacts. `GET /counts` is not documented for these
/// versions. The answer contains the data of one contact, which is not read.
pub(in crate::intercom) fn get_count() -> Call {
    Call::get(route::COUNT_USERS, "/contacts?per_page=1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_encoded_and_other_places_refused() {
        let path = |position: Position| get_page(&position).map(|call| call.path);
        assert_eq!(path(Position::First).unwrap(), "/contacts?per_page=150");
        let after = "WzEsIjVmMiJd+/=\n".to_owned();
        assert_eq!(
            path(Position::List { after }).unwrap(),
            "/contacts?per_page=150&starting_after=WzEsIjVmMiJd%2B%2F%3D%0A"
        );
        for wrong in [
            Position::ListEnd,
            Position::List { after: String::new() },
            Position::List { after: "x".repeat(CURSOR_BYTES_MAX + 1) },
            Position::Scroll { param: "s".to_owned() },
            Position::Ids { pages: 1, users: 0 },
        ] {
            assert!(path(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_write_costs_one_operation() {
        let changes = vec![crate::domain::patch::Change {
            target: crate::domain::patch::Target::Attribute("a".into()),
            new: 1.into(),
            replaced: None,
        }];
        let call = put_patch(&Patch { user: UserId::new("u1").unwrap(), changes }).unwrap();
        assert_eq!((call.method, call.path.as_str()), (Method::PUT, "/contacts/u1"));
        assert_eq!(call.operations.0, 1);
    }
}

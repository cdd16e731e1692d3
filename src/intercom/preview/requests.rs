//! The requests of bulk jobs.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::super::transport::call::Call;
use super::super::transport::error::{Error, Invalid, route};
use super::super::transport::service::Operations;
use super::super::v2;
use crate::domain::api::{Api, BulkCharge, Capabilities, Way};
use crate::domain::job::JobId;
use crate::domain::patch::Patch;

const PREVIEW: Capabilities = Api::Preview.capabilities();

/// Builds the request for a new bulk job. Existing jobs are never extended.
pub(in crate::intercom) fn put_patches(patches: &[Patch], charge: BulkCharge) -> Result<Call, Error> {
    let body = body(patches).map_err(|reason| Error::Invalid { route: route::SUBMIT, reason })?;
    let operations = match charge {
        BulkCharge::Item => patches.len() as u32,
        BulkCharge::Request => 1,
    };
    Ok(Call {
        route: route::SUBMIT,
        method: Method::PUT,
        path: "/contacts/bulk".to_owned(),
        body: Bytes::from(body),
        operations: Operations(operations),
    })
}

/// Builds the request for a job's state.
pub(in crate::intercom) fn get_job(id: &JobId) -> Call {
    Call::get(route::JOB, format!("/contacts/bulk/{id}"))
}

/// Builds the body, one item per patch. Each item names its contact by Intercom's id.
fn body(patches: &[Patch]) -> Result<Vec<u8>, Invalid> {
    match patches.len() {
        0 => return Err(Invalid::NoPatches),
        count if count > PREVIEW.write_users_max => return Err(Invalid::TooManyPatches { count }),
        _ => {}
    }
    let items: Vec<Value> = patches.iter().enumerate().map(item).collect::<Result<_, _>>()?;
    Ok(json!({ "contacts": items }).to_string().into_bytes())
}

fn item((index, patch): (usize, &Patch)) -> Result<Value, Invalid> {
    let mut item = v2::contact_fields(index, patch)?;
    // Intercom drops other fields of an item without an error.
    if PREVIEW.way_of(patch) != Way::Job {
        return Err(Invalid::ReservedField { index });
    }
    item.insert("id".to_owned(), patch.user.as_str().into());
    Ok(item.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::patch::{Change, Target};
    use crate::domain::user::UserId;

    fn patch(user: &str, target: Target, new: Value) -> Patch {
        Patch { user: UserId::new(user).unwrap(), changes: vec![Change { target, new, replaced: None }] }
    }

    fn avatar(user: &str) -> Patch {
        patch(user, Target::Attribute("has avatar".into()), json!(false))
    }

    #[test]
    fn an_item_has_only_the_id_and_changes() {
        let name = patch("b2", Target::Field("name".into()), json!("Ann"));
        let call = put_patches(&[avatar("a1"), name], BulkCharge::Item).unwrap();
        let sent: Value = serde_json::from_slice(&call.body).unwrap();
        let expected = json!({"contacts": [
            {"id": "a1", "custom_attributes": {"has avatar": false}},
            {"id": "b2", "name": "Ann"},
        ]});
        assert_eq!((sent, call.method, call.path.as_str()), (expected, Method::PUT, "/contacts/bulk"));
    }

    #[test]
    fn a_request_costs_its_users_or_one() {
        let patches: Vec<Patch> = (0..=100).map(|n| avatar(&format!("u{n}"))).collect();
        let operations = |charge| put_patches(&patches[..100], charge).unwrap().operations.0;
        assert_eq!([BulkCharge::Item, BulkCharge::Request].map(operations), [100, 1]);
        let refused = |patches: &[Patch]| body(patches).unwrap_err();
        assert_eq!(refused(&patches), Invalid::TooManyPatches { count: 101 });
        assert_eq!(refused(&[]), Invalid::NoPatches);
    }

    #[test]
    fn changes_that_an_item_does_not_carry_are_not_sent() {
        let attribute = |new| patch("b2", Target::Attribute("a".into()), new);
        for (wrong, reason) in [
            (attribute(Value::Null), Invalid::ReservedField { index: 1 }),
            (attribute(json!([1])), Invalid::NotScalar { index: 1 }),
            (patch("b2", Target::Field("signed_up_at".into()), json!(5)), Invalid::ReservedField { index: 1 }),
            (patch("b2", Target::Field("role".into()), json!("user")), Invalid::ReservedField { index: 1 }),
            (Patch { user: UserId::new("b2").unwrap(), changes: Vec::new() }, Invalid::NoChanges { index: 1 }),
        ] {
            assert_eq!(body(&[avatar("a1"), wrong]).unwrap_err(), reason);
        }
    }
}

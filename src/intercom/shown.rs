//! Values that a family of the API shows otherwise than they were written.

use serde_json::Value;

use super::{v1, v2};
use crate::domain::api::Api;
use crate::domain::patch::Target;

/// Returns whether the API shows both values of a target alike, by its own rules. A written value
/// that is read as the other one was kept.
pub fn shows_alike(api: Api, target: &Target, one: &Value, other: &Value) -> bool {
    match api {
        Api::V1 => v1::shows_alike(target, one, other),
        Api::V2 | Api::Preview => v2::shows_alike(target, one, other),
    }
}

//! The parts of a user that are kept of a page: what the plan's expressions read ([`Reads`]), and
//! its targets.

use std::collections::{BTreeMap, BTreeSet};

use super::reads::Reads;
use super::{TargetRule, Written};
use crate::domain::partial_json::Projection;

/// Returns the projection of a user: `id`, the paths that are read, and the targets, whose old
/// values are compared.
pub(super) fn of(reads: &Reads, settings: &[TargetRule]) -> Projection {
    let mut fields: BTreeSet<&str> = reads.fields.iter().map(String::as_str).chain(["id"]).collect();
    let mut attributes: BTreeMap<_, _> =
        reads.attributes.iter().map(|name| (name.clone(), Projection::Whole)).collect();
    for setting in settings {
        match &setting.target {
            Written::Attribute(name) => {
                attributes.insert(name.clone(), Projection::Whole);
            }
            Written::Field(name) => {
                fields.insert(name);
            }
            Written::Company { .. } => {
                fields.insert("companies");
            }
        }
    }
    let attributes = if reads.all_attributes { Projection::Whole } else { Projection::Keys(attributes) };
    let fields = fields.into_iter().map(|name| (name.to_owned(), Projection::Whole));
    Projection::Keys(fields.chain([("custom_attributes".to_owned(), attributes)]).collect())
}

//! The way in which a patch is written: in a bulk job, or by a request of its own.

use super::{Capabilities, Writing};
use crate::domain::patch::{Change, Patch, Target};

/// The way in which patches are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Up to a hundred together, as a bulk job.
    Job,
    /// One request for each user, whose answer is the result.
    Answer,
}

/// The fields that an item of a bulk job of Preview carries. It drops others without an error.
const FIELDS_OF_ITEMS: [&str; 4] = ["name", "phone", "owner_id", "unsubscribed_from_emails"];

impl Capabilities {
    /// Returns the way of one patch, which goes one way as a whole.
    pub fn way_of(&self, patch: &Patch) -> Way {
        match self.write {
            Writing::Jobs { .. } => Way::Job,
            Writing::JobsOrAnswers { .. } if patch.changes.iter().all(is_of_item) => Way::Job,
            Writing::Answers | Writing::JobsOrAnswers { .. } => Way::Answer,
        }
    }

    /// Returns the way of patches that are written together.
    pub fn way_of_all(&self, patches: &[Patch]) -> Way {
        patches.iter().map(|patch| self.way_of(patch)).max().unwrap_or(Way::Job)
    }
}

/// Returns whether an item of a bulk job of Preview can carry a change. Intercom does not document
/// what a null does there.
fn is_of_item(change: &Change) -> bool {
    let is_carried = match &change.target {
        Target::Attribute(_) => true,
        Target::Field(name) => FIELDS_OF_ITEMS.contains(&name.as_str()),
        Target::CompanyName(_) => false,
    };
    is_carried && !change.new.is_null()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::api::Api;
    use crate::domain::user::UserId;

    fn patch(changes: &[(Target, Value)]) -> Patch {
        let change =
            |(target, new): &(Target, Value)| Change { target: target.clone(), new: new.clone(), replaced: None };
        Patch { user: UserId::new("a1").unwrap(), changes: changes.iter().map(change).collect() }
    }

    #[test]
    fn a_patch_goes_one_way_as_a_whole() {
        let attribute = |new: Value| (Target::Attribute("a".into()), new);
        let field = |name: &str, new: Value| (Target::Field(name.into()), new);
        for (changes, way) in [
            (vec![attribute(json!(false))], Way::Job),
            (vec![attribute(json!(1)), field("name", json!("Ann")), field("phone", json!(""))], Way::Job),
            (vec![field("unsubscribed_from_emails", json!(true))], Way::Job),
            (vec![attribute(Value::Null)], Way::Answer),
            (vec![attribute(json!(1)), field("name", Value::Null)], Way::Answer),
            (vec![attribute(json!(1)), field("signed_up_at", json!(5))], Way::Answer),
            (vec![(Target::CompanyName("7".into()), json!("Acme"))], Way::Answer),
        ] {
            let patch = patch(&changes);
            assert_eq!(Api::Preview.capabilities().way_of(&patch), way, "{patch:?}");
            assert_eq!(Api::V1.capabilities().way_of(&patch), Way::Job);
            assert_eq!(Api::V2.capabilities().way_of(&patch), Way::Answer);
        }
    }

    #[test]
    fn patches_go_together_if_all_can() {
        let of = |new: Value| patch(&[(Target::Attribute("a".into()), new)]);
        let preview = Api::Preview.capabilities();
        assert_eq!(preview.way_of_all(&[of(json!(1)), of(json!(2))]), Way::Job);
        assert_eq!(preview.way_of_all(&[of(json!(1)), of(Value::Null)]), Way::Answer);
    }
}

//! The present value of a target.

use serde_json::Value as Json;

use super::evaluate::{companies, has_id};
use crate::domain::patch::Target;
use crate::domain::user::User;

/// Returns the user's present value of a target; `Some(None)` if it has no value, and `None` if the
/// user is not in the company any more.
pub fn present<'u>(user: &'u User, target: &Target) -> Option<Option<&'u Json>> {
    let body = user.body();
    match target {
        Target::Attribute(name) => Some(body.get("custom_attributes").and_then(|all| all.get(name))),
        Target::Field(name) => Some(body.get(name)),
        Target::CompanyName(id) => {
            companies(body).find(|company| has_id(company, id)).map(|company| company.get("name"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn value_of_each_target_is_found() {
        let body = json!({"id": "a", "name": "Ann", "custom_attributes": {"plan": null},
            "companies": {"companies": [{"company_id": 7, "name": "Acme"}]}});
        let user = User::new(body).unwrap();
        let attribute = |name: &str| Target::Attribute(name.to_owned());
        let company = |id: &str| Target::CompanyName(id.to_owned());
        for (target, value) in [
            (attribute("plan"), Some(Some(&json!(null)))),
            (attribute("name"), Some(None)),
            (Target::Field("name".to_owned()), Some(Some(&json!("Ann")))),
            (Target::Field("phone".to_owned()), Some(None)),
            (company("7"), Some(Some(&json!("Acme")))),
            (company("8"), None),
        ] {
            assert_eq!(present(&user, &target), value, "{target}");
        }
        let bare = User::new(json!({"id": "a"})).unwrap();
        assert_eq!(present(&bare, &attribute("plan")), Some(None));
    }
}

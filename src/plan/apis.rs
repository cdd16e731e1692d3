//! The parts of a plan that one family of the API does not have. Such a plan is refused before its
//! run begins.

use super::otherwise::Otherwise;
use super::paths::{is_within, spell};
use super::value::ValueType;
use super::{Plan, TargetRule, Written};
use crate::domain::api::Api;
use crate::domain::attribute::{PlannedAttribute, ValueKind};
use crate::domain::user::{Contacts, User};

/// Fields of a user of API 1.x that a contact of API 2.x and Preview does not have. Companies and tags of a
/// contact are ids without names, and it has no segments.
const NOT_IN_V2: &[&str] = &[
    "pseudonym",
    "companies.companies[].company_id",
    "companies.companies[].name",
    "location_data.latitude",
    "location_data.longitude",
    "location_data.postal_code",
    "location_data.timezone",
    "last_seen_ip",
    "session_count",
    "do_not_track",
    "user_agent_data",
    "tags.tags[].name",
    "segments",
];

/// Lists of which a contact of API 2.x has at most the first ten items.
const CUT_LISTS: [&str; 3] = ["companies", "tags", "social_profiles"];

impl Plan {
    /// Returns the fields that the plan reads or writes and that the family does not have, as texts:
    /// `user.segments`, `company.name`, `contacts = "leads"`.
    pub fn lacking_in(&self, api: Api) -> Vec<String> {
        match api {
            Api::V1 if self.inner.contacts == Contacts::Users => Vec::new(),
            Api::V1 => vec![format!("contacts = \"{}\"", <&str>::from(self.inner.contacts))],
            Api::V2 | Api::Preview => {
                let read = self.inner.reads.paths.iter().map(|path| spell(path));
                let missing = read.filter(|path| NOT_IN_V2.iter().any(|field| is_within(path, field)));
                let companies =
                    self.inner.settings.iter().filter(|rule| matches!(rule.target, Written::Company { .. }));
                missing.map(|path| format!("user.{path}")).chain(companies.map(|rule| rule.shown.clone())).collect()
            }
        }
    }

    /// Returns the custom attributes that the plan writes.
    pub fn attributes(&self) -> Vec<PlannedAttribute> {
        let attribute = |rule: &TargetRule| match &rule.target {
            Written::Attribute(name) => {
                Some(PlannedAttribute { name: name.clone(), kind: rule.kind.kind(), texts: rule.texts() })
            }
            Written::Field(_) | Written::Company { .. } => None,
        };
        self.inner.settings.iter().filter_map(attribute).collect()
    }

    /// Returns an attribute that the plan writes and that is a relationship of this user.
    pub fn relationship_of<'u>(&self, user: &'u User) -> Option<&'u str> {
        let is_target = |name: &&String| {
            self.inner.settings.iter().any(|rule| matches!(&rule.target, Written::Attribute(target) if target == *name))
        };
        user.relationships().iter().find(is_target).map(String::as_str)
    }

    /// Returns a list that the plan reads and that is not whole in this user.
    pub fn cut_list(&self, user: &User) -> Option<&'static str> {
        let is_cut = |list: &&&str| user.body().get(**list).and_then(|list| list.get("has_more")) == Some(&true.into());
        CUT_LISTS.iter().filter(|list| self.inner.reads.fields.contains(**list)).find(is_cut).copied()
    }
}

impl TargetRule {
    /// Returns the texts of the plan that the rule may write as they stand.
    fn texts(&self) -> Vec<String> {
        let otherwise = match &self.otherwise {
            Otherwise::Value(value) => value.as_str(),
            Otherwise::Keep | Otherwise::Clear | Otherwise::Error => None,
        };
        let mut texts = self.value.texts.clone();
        texts.extend(otherwise.map(str::to_owned));
        texts.sort();
        texts.dedup();
        texts
    }
}

impl ValueType {
    fn kind(self) -> ValueKind {
        match self {
            Self::Bool => ValueKind::Bool,
            Self::Int => ValueKind::Int,
            Self::Float => ValueKind::Float,
            Self::Text => ValueKind::Text,
            Self::Date => ValueKind::Date,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(value: &str) -> Plan {
        let text = format!("name = \"p\"\n[set.custom_attributes.a]\ntype = \"string\"\nvalue = \"{value}\"\n");
        Plan::from_toml("p.toml", &text).unwrap()
    }

    #[test]
    fn fields_that_a_contact_does_not_have_are_named() {
        for (value, lacking) in [
            ("user.email", &[][..]),
            ("user.location_data.city_name", &[]),
            ("user.pseudonym", &["user.pseudonym"]),
            ("user.location_data.timezone", &["user.location_data.timezone"]),
            ("user.pseudonym ~ user.last_seen_ip", &["user.last_seen_ip", "user.pseudonym"]),
        ] {
            assert_eq!(plan(value).lacking_in(Api::V2), lacking, "{value}");
            assert_eq!(plan(value).lacking_in(Api::Preview), lacking, "{value}");
            assert_eq!(plan(value).lacking_in(Api::V1), [""; 0], "{value}");
        }
        let company = Plan::from_toml("p.toml", include_str!("../../plans/company-name.toml")).unwrap();
        assert!(company.lacking_in(Api::V2).contains(&"company.name".to_owned()), "{:?}", company.lacking_in(Api::V2));
    }

    #[test]
    fn plans_about_leads_need_api_2() {
        for (contacts, lacking) in
            [("users", None), ("leads", Some("contacts = \"leads\"")), ("all", Some("contacts = \"all\""))]
        {
            let text = format!(
                "name = \"p\"\ncontacts = \"{contacts}\"\n[set.custom_attributes.a]\ntype = \"bool\"\nvalue = \"true\"\n"
            );
            let plan = Plan::from_toml("p.toml", &text).unwrap();
            assert_eq!(plan.lacking_in(Api::V1), Vec::from_iter(lacking), "{contacts}");
            assert_eq!(plan.lacking_in(Api::V2), [""; 0], "{contacts}");
        }
        let wrong = "name = \"p\"\ncontacts = \"lead\"\n[set.custom_attributes.a]\ntype = \"bool\"\nvalue = \"true\"\n";
        let error = Plan::from_toml("p.toml", wrong).unwrap_err().to_string();
        assert!(
            error.contains("p.toml:2: contacts: there are no contacts of the kind `lead`; the nearest is `leads`"),
            "{error}"
        );
    }

    #[test]
    fn constants_and_rows_are_known_before_the_run() {
        for (value, texts) in [
            ("'Pro'", &["Pro"][..]),
            ("'Pro' if user.email is present else 'Free'", &["Free", "Pro"]),
            ("tier[user.custom_attributes.plan]", &["Gold", "Silver"]),
            ("tier[user.custom_attributes.plan] | default('None')", &[]),
            ("'a' ~ user.email", &[]),
            ("user.email", &[]),
        ] {
            let text = format!(
                "name = \"p\"\ntables.tier = {{ a = \"Gold\", b = \"Silver\" }}\n[set.custom_attributes.a]\ntype = \
                 \"string\"\nvalue = \"{value}\"\n"
            );
            let plan = Plan::from_toml("p.toml", &text).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert_eq!(plan.attributes()[0].texts, texts, "{value}");
        }
        let text = "name = \"p\"\n[set.custom_attributes.a]\ntype = \"string\"\nvalue = \"user.name\"\notherwise = \"Nobody\"\n";
        assert_eq!(Plan::from_toml("p.toml", text).unwrap().attributes()[0].texts, ["Nobody"]);
    }

    #[test]
    fn a_list_that_is_read_must_be_whole() {
        let user = |more: bool| User::new(json!({"id": "a1", "tags": {"tags": [], "has_more": more}})).unwrap();
        let reads = plan("user.tags.tags | length | string");
        assert_eq!((reads.cut_list(&user(true)), reads.cut_list(&user(false))), (Some("tags"), None));
        assert_eq!(plan("user.email").cut_list(&user(true)), None);
    }
}

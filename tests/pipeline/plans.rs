//! The shipped plans, a misspelt one, and workspaces without faults.

use intercom_simulator::{Attribute, ContactOptions, Fault, Options};

pub(crate) const HAS_AVATAR: &str = include_str!("../../plans/has-avatar.toml");
pub(crate) const PLAN_PRICE: &str = include_str!("../../plans/plan-price.toml");
pub(crate) const ACCOUNT_BY_EMAIL: &str = include_str!("../../plans/account-by-email.toml");
pub(crate) const COMPANY_NAME: &str = include_str!("../../plans/company-name.toml");

/// Reads an attribute that no user has.
pub(crate) const MISSPELT: &str = r#"
name = "misspelt"
[set.custom_attributes.tier]
type = "string"
value = "user.custom_attributes.plann"
otherwise = "a value"
"#;

/// Returns options with this number of users and no faults.
pub(crate) fn users(users: usize) -> Options {
    Options { users, ..Options::default() }
}

/// Returns the same options with these custom attributes, like `has avatar:boolean`.
pub(crate) fn with_attributes(attributes: &[&str], options: Options) -> Options {
    let attributes = attributes.iter().map(|text| text.parse::<Attribute>().unwrap()).collect();
    Options { contacts: ContactOptions { attributes, ..options.contacts }, ..options }
}

/// Returns the faults of these names and values.
pub(crate) fn faults(texts: &[&str]) -> Vec<Fault> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

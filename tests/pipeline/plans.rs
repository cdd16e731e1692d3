//! The shipped plans, and workspaces without faults.

use intercom_simulator::Options;

pub(crate) const HAS_AVATAR: &str = include_str!("../../plans/has-avatar.toml");
pub(crate) const PLAN_PRICE: &str = include_str!("../../plans/plan-price.toml");
pub(crate) const ACCOUNT_BY_EMAIL: &str = include_str!("../../plans/account-by-email.toml");
pub(crate) const COMPANY_NAME: &str = include_str!("../../plans/company-name.toml");

/// Returns options with this number of users and no faults.
pub(crate) fn users(users: usize) -> Options {
    Options { users, ..Options::default() }
}

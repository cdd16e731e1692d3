//! Counts of a run's users by outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SetAgain;
use crate::domain::redact::redact_to;
use crate::domain::stored::is_zero;

/// Reason to skip a user: another user's patch of the generation names the company.
pub const NAMED_ALREADY: &str = "company_named_already";

/// The most characters of a missed table key.
const MISSED_KEY_CHARS_MAX: usize = 40;

/// The most missed table keys with counts.
const MISSED_KEYS_MAX: usize = 5;

/// Users of the present generation, counted by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Users seen. A user that one page lists several times counts once. A user on two pages counts
    /// twice, because the users of earlier pages are not stored.
    pub users: u64,
    /// Leads of `users`, which API 2.x lists, too. Plans are not about them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leads: u64,
    /// Repeated entries of a user on one page.
    #[serde(default)]
    pub doubles: u64,
    /// Users to change.
    pub patches: u64,
    /// Users whose values are already right.
    pub same: u64,
    /// Skipped users, by reason.
    #[serde(rename = "left_alone", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skip_reasons: BTreeMap<String, u64>,
    /// Users without a patch and without an error for which a rule skipped at least one value.
    #[serde(default)]
    pub skipped: u64,
    /// Users with an error of the plan, and unreadable entries, each with a row in the ledger.
    #[serde(default)]
    pub errors: u64,
    /// Users of `errors` that are also in `patches`: one value is sent, another cannot be computed.
    #[serde(default)]
    pub partly: u64,
    /// Users of `errors` that are not in `users`: entries without a usable id, and listed ids
    /// unknown to Intercom.
    #[serde(default)]
    pub unreadable: u64,
    /// The most frequent missed table keys: `table[key]`, or the table alone if the key may be
    /// personal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missed: BTreeMap<String, u64>,
    /// Users of the previous run's sample.
    #[serde(default, skip_serializing_if = "SetAgain::is_empty")]
    pub set_again: SetAgain,
}

impl Tally {
    /// Returns the number of users read, with unreadable entries and leads, as Intercom counts them.
    pub fn read(&self) -> u64 {
        self.users + self.unreadable
    }

    /// Returns the number of users seen, without leads: the users of the sample and of `--limit`.
    pub fn without_leads(&self) -> u64 {
        self.users.saturating_sub(self.leads)
    }

    /// Returns the number of users that a percentage is taken of: those read, without leads.
    pub fn judged(&self) -> u64 {
        self.without_leads() + self.unreadable
    }

    /// Counts a miss. A full list drops its rarest key, so the counts are lower bounds.
    pub fn miss(&mut self, table: &str, key: Option<&str>) {
        let short = redact_to(key.unwrap_or("…"), MISSED_KEY_CHARS_MAX);
        let name = format!("{table}[{short}]");
        if !self.missed.contains_key(&name) && self.missed.len() >= MISSED_KEYS_MAX {
            let rarest = self.missed.iter().min_by_key(|(_, count)| **count).map(|(name, _)| name.clone());
            rarest.and_then(|name| self.missed.remove(&name));
        }
        *self.missed.entry(name).or_default() += 1;
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.users += other.users;
        self.leads += other.leads;
        self.doubles += other.doubles;
        self.patches += other.patches;
        self.same += other.same;
        self.skipped += other.skipped;
        self.errors += other.errors;
        self.partly += other.partly;
        self.unreadable += other.unreadable;
        self.set_again.add(&other.set_again);
        for (reason, count) in &other.skip_reasons {
            *self.skip_reasons.entry(reason.clone()).or_default() += count;
        }
        for (name, count) in &other.missed {
            if self.missed.contains_key(name) || self.missed.len() < MISSED_KEYS_MAX {
                *self.missed.entry(name.clone()).or_default() += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_missed_keys_are_kept() {
        let mut tally = Tally::default();
        for n in 0..20 {
            tally.miss("price", Some("legacy"));
            tally.miss("price", Some(&format!("rare {n}")));
        }
        tally.miss("account", None);
        assert_eq!(tally.missed["price[legacy]"], 20);
        assert_eq!(tally.missed["account[…]"], 1);
        assert_eq!(tally.missed.len(), MISSED_KEYS_MAX);
        tally.miss("esc", Some("red\u{1b}[31m\nline"));
        assert_eq!(tally.missed["esc[red[31m line]"], 1, "end users write keys: no control character is kept");
    }
}

//! A plan's tables, and the state of one evaluation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Object, Value, ValueKind};

use super::failure::{Failure, FailureCode};
use super::language::TODAY;
use super::operators::plain_text;

/// All tables of a plan, by name.
pub(super) type Tables = BTreeMap<String, Table>;

/// Rows by key. Keys are texts and case-sensitive, as Intercom compares attribute values.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) rows: HashMap<String, Value>,
    /// True if the plan requests missed keys that were read from personal fields.
    pub(super) shows_missed: bool,
}

/// A key that a table does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Miss {
    pub(super) table: String,
    /// The key; `None` if it may identify a person.
    pub(super) key: Option<String>,
}

/// The variables of an expression. Each evaluation has its own, so that the misses of one user do
/// not reach another.
#[derive(Debug)]
pub(super) struct Scope {
    user: Value,
    today: Option<i64>,
    tables: Arc<Tables>,
    misses: Mutex<Vec<Miss>>,
}

impl Scope {
    /// The name of the scope for the engine's own filters. It is not an identifier, so no
    /// expression can use it.
    pub(super) const NAME: &'static str = "the scope";

    pub(super) fn new(user: Value, today: Option<i64>, tables: Arc<Tables>) -> Arc<Self> {
        Arc::new(Self { user, today, tables, misses: Mutex::default() })
    }

    /// Returns the row, or undefined. Records a miss for an unknown key, but not for a missing one.
    pub(super) fn look_up(&self, name: &str, key: &Value, personal: bool) -> Result<Value, Failure> {
        let Some(key) = key_text(key)? else { return Ok(Value::UNDEFINED) };
        let table = self.tables.get(name);
        if let Some(row) = table.and_then(|table| table.rows.get(&key)) {
            return Ok(row.clone());
        }
        let shown = !personal || table.is_some_and(|table| table.shows_missed);
        let key = (shown && !looks_personal(&key)).then_some(key);
        let miss = Miss { table: name.to_owned(), key };
        let mut misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        if !misses.contains(&miss) {
            misses.push(miss);
        }
        Ok(Value::UNDEFINED)
    }

    /// Returns whether the table has the key. It does not record a miss.
    pub(super) fn has_key(&self, name: &str, key: &Value) -> Result<bool, Failure> {
        let Some(key) = key_text(key)? else { return Ok(false) };
        Ok(self.tables.get(name).is_some_and(|table| table.rows.contains_key(&key)))
    }

    pub(super) fn take_misses(&self) -> Vec<Miss> {
        std::mem::take(&mut self.misses.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "user" => Some(self.user.clone()),
            TODAY => self.today.map(Value::from),
            Self::NAME => Some(Value::from_dyn_object(Arc::clone(self))),
            _ => None,
        }
    }
}

/// Returns a key as a text, so that plan 3 finds the row "3"; `None` for a missing value.
fn key_text(key: &Value) -> Result<Option<String>, Failure> {
    match key.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(None),
        ValueKind::Number => {
            Ok(Some(i64::try_from(key.clone()).map_or_else(|_| key.to_string(), |int| int.to_string())))
        }
        _ => plain_text(key).map(Some).ok_or_else(|| {
            FailureCode::WrongType.because(
                "a table is read with a text or a number: `| first` takes one item of a list, and \
                 `| map(table='NAME')` reads a row for each",
            )
        }),
    }
}

/// Returns whether a text may be personal (an e-mail address, a phone number) or is too long for a
/// name.
fn looks_personal(key: &str) -> bool {
    const CHARS_MAX: usize = 80;
    const PHONE_DIGITS_MIN: usize = 7;
    let digits = key.chars().filter(char::is_ascii_digit).count();
    let phone = key.chars().all(|c| c.is_ascii_digit() || " +-()./".contains(c));
    key.contains('@') || (phone && digits >= PHONE_DIGITS_MIN) || key.chars().count() > CHARS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_texts() {
        for (key, text) in [(Value::from(3), "3"), (Value::from(3.0), "3"), (Value::from(true), "true")] {
            assert_eq!(key_text(&key).unwrap().as_deref(), Some(text));
        }
        assert_eq!(key_text(&Value::from(())).unwrap(), None);
        assert!(key_text(&Value::from(vec![1])).is_err());
    }

    #[test]
    fn addresses_and_numbers_are_personal_and_domains_are_not() {
        for personal in ["ann@example.com", "+353 1 555-6712", "0035315556712", &"x".repeat(81)] {
            assert!(looks_personal(personal), "{personal}");
        }
        for plain in ["acme.com", "Pro Plus", "366", ""] {
            assert!(!looks_personal(plain), "{plain}");
        }
    }
}

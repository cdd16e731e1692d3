//! Reads the test cases of a plan. A user and a result with a misspelt name are refused: such a case
//! would test nothing.

use serde_json::{Map, Number, Value as Json};
use strum::VariantNames;

use super::TargetRule;
use super::cases::{Case, Outcome};
use super::dates::{day_of, unix_seconds};
use super::error::{Fault, Instead, PlanError};
use super::evaluate::SkipReason;
use super::failure::FailureCode;
use super::node::Data;
use super::paths::{Segment, attribute, is_known, nearest_path, own_name, spell};
use super::reads::Reads;
use super::scanner::Scanner;
use crate::domain::patch::spell_key;
use crate::domain::user::{Contacts, User};

/// The keys of a test case.
pub(super) const CASE_KEYS: [&str; 4] = ["name", "today", "user", "expect"];
/// The keys of an expected result.
pub(super) const EXPECT_KEYS: [&str; 9] = [
    "custom_attributes",
    "name",
    "phone",
    "signed_up_at",
    "unsubscribed_from_emails",
    "company",
    "skip",
    "error",
    "nothing",
];

/// The id of a user whose case gives none.
const USER_ID: &str = "test";

const A_CASE: &str = "a list of test cases, as [[test]]";
const EXPECT: &str = "the values that the plan sets, as expect.custom_attributes = { seats = 5 }";
const A_VALUE: &str = "a value, or { clear = true } for a value that the plan clears";

/// The function that reads the cases of a plan: [`read_cases`].
pub(super) type ReadCases = fn(&Scanner<'_>, &About<'_>) -> Vec<Case>;

/// The words of a plan that its cases refer to.
pub(super) struct About<'p> {
    pub(super) settings: &'p [TargetRule],
    pub(super) reads: &'p Reads,
}

/// Reads the cases of a plan. Mistakes are kept for the final error.
pub(super) fn read_cases(cursor: &Scanner<'_>, about: &About<'_>) -> Vec<Case> {
    let items = cursor.keep(cursor.items(A_CASE)).unwrap_or_default();
    items.iter().filter_map(|item| item.keep(read_case(item, about)).flatten()).collect()
}

fn read_case(cursor: &Scanner<'_>, about: &About<'_>) -> Result<Option<Case>, PlanError> {
    let [name, today, user, expect] = cursor.known_entries(CASE_KEYS, "a test case with user and expect")?;
    let name = name.and_then(|name| cursor.keep(name.text("a name in quotes")).map(str::to_owned));
    let today = match today {
        Some(today) => cursor.keep(read_day(&today)),
        None if about.reads.today => {
            return Err(cursor.missing("today", "today = \"2016-11-24\", which the plan reads"));
        }
        None => None,
    };
    let user = user.ok_or_else(|| cursor.missing("user", "user = { email = \"ann@example.com\" }"));
    let user = cursor.keep(user.and_then(|user| read_user(&user)));
    let expect = expect.ok_or_else(|| cursor.missing("expect", "expect.custom_attributes = { seats = 5 }"));
    let expected = cursor.keep(expect.and_then(|expect| read_expected(&expect, about)));
    let (Some(user), Some(expected)) = (user, expected) else { return Ok(None) };
    Ok(Some(Case { name, line: cursor.node.line, today, user, expected }))
}

fn read_day(cursor: &Scanner<'_>) -> Result<i64, PlanError> {
    const A_DAY: &str = "a day in quotes, as today = \"2016-11-24\"";
    unix_seconds(cursor.text(A_DAY)?).map(day_of).ok_or_else(|| cursor.wrong_type(A_DAY))
}

fn read_user(cursor: &Scanner<'_>) -> Result<User, PlanError> {
    const AN_ID: &str = "an id in quotes, of letters, digits, - and _";
    let mut body = Map::new();
    for (name, entry) in cursor.entries("a user, as { email = \"ann@example.com\" }")? {
        let own = own_name(&[], name);
        if let Some(value) = entry.keep(read_part(&entry, &mut vec![Segment::Field(own.to_owned())])) {
            body.insert(own.to_owned(), value);
        }
    }
    body.entry("id").or_insert_with(|| Json::from(USER_ID));
    User::new(Json::Object(body))
        .ok_or_else(|| cursor.refuse(Fault::WrongType { found: "a user with another id", write: AN_ID }))
}

/// Reads a part of a user, under the names of API 1.x.
fn read_part(cursor: &Scanner<'_>, path: &mut Vec<Segment>) -> Result<Json, PlanError> {
    if !is_known(path) {
        let instead = Instead::nearest(nearest_path(path).map(|known| known.replacen("user.", "", 1)));
        return Err(cursor.refuse(Fault::UnknownPath { path: spell(path), instead }));
    }
    match &cursor.node.data {
        Data::Table(_) if attribute(path).is_none() => {
            let mut entries = Map::new();
            for (name, entry) in cursor.entries("")? {
                let own = own_name(path, name).to_owned();
                path.push(Segment::Field(own.clone()));
                let value = entry.keep(read_part(&entry, path));
                path.pop();
                entries.extend(value.map(|value| (own, value)));
            }
            Ok(Json::Object(entries))
        }
        Data::List(_) if attribute(path).is_none() => {
            path.push(Segment::Item);
            let items = cursor.items("")?;
            let items = items.iter().filter_map(|item| item.keep(read_part(item, path))).collect();
            path.pop();
            Ok(Json::Array(items))
        }
        _ => scalar(cursor, "a text, a number, true or false"),
    }
}

/// Reads a value. TOML has no null; a plan in JSON can have it.
fn scalar(cursor: &Scanner<'_>, write: &'static str) -> Result<Json, PlanError> {
    match &cursor.node.data {
        Data::Bool(value) => Ok(Json::from(*value)),
        Data::Int(value) => Ok(Json::from(*value)),
        Data::Float(value) => Number::from_f64(*value).map(Json::Number).ok_or_else(|| cursor.refuse(Fault::Number)),
        Data::Text(value) => Ok(Json::from(value.as_str())),
        Data::Null => Ok(Json::Null),
        Data::List(_) | Data::Table(_) | Data::Other(_) => Err(cursor.wrong_type(write)),
    }
}

fn read_expected(cursor: &Scanner<'_>, about: &About<'_>) -> Result<Outcome, PlanError> {
    let mut outcome = Outcome::default();
    let mut is_empty = true;
    for (name, entry) in cursor.entries(EXPECT)? {
        is_empty = false;
        match name {
            "skip" => {
                let known = SkipReason::VARIANTS.iter().chain(Contacts::ROLES);
                outcome.skips.extend(cursor.keep(read_word(&entry, "reason to skip", known)).map(str::to_owned));
            }
            "error" => {
                let code = cursor.keep(read_word(&entry, "code of an error", FailureCode::VARIANTS.iter()));
                outcome.errors.extend(code.map(|code| (code, String::new())));
            }
            "nothing" if matches!(entry.node.data, Data::Bool(true)) => {}
            "nothing" => return Err(entry.wrong_type("nothing = true")),
            "custom_attributes" => {
                for (name, value) in entry.entries(EXPECT)? {
                    read_value(&value, format!("custom_attributes.{}", spell_key(name)), &mut outcome, about)?;
                }
            }
            "company" => {
                let [name] = entry.known_entries(["name"], "expect.company.name = \"Acme\"")?;
                if let Some(name) = name {
                    read_value(&name, "company.name".to_owned(), &mut outcome, about)?;
                }
            }
            field if EXPECT_KEYS.contains(&field) => read_value(&entry, field.to_owned(), &mut outcome, about)?,
            other => {
                let instead = Instead::of(other, EXPECT_KEYS.into_iter());
                return Err(entry.refuse(Fault::UnknownKey { key: other.to_owned(), instead }));
            }
        }
    }
    // An empty result would pass for a user who is skipped by mistake.
    if is_empty {
        return Err(cursor.missing("expect", "expect.nothing = true if the plan sets nothing"));
    }
    Ok(outcome)
}

fn read_word<'w>(
    cursor: &Scanner<'_>,
    what: &'static str,
    known: impl Iterator<Item = &'w &'static str> + Clone,
) -> Result<&'static str, PlanError> {
    let word = cursor.text("a word in quotes")?;
    let found = known.clone().find(|known| **known == word);
    found.copied().ok_or_else(|| {
        let instead = Instead::of(word, known.copied());
        cursor.refuse(Fault::UnknownWord { what, word: word.to_owned(), instead })
    })
}

fn read_value(cursor: &Scanner<'_>, target: String, outcome: &mut Outcome, about: &About<'_>) -> Result<(), PlanError> {
    let targets = about.settings.iter().map(|setting| setting.shown.as_str());
    // A target with a mistake is not among the rules.
    if !cursor.has_mistakes() && !targets.clone().any(|known| known == target) {
        let instead = Instead::of(&target, targets);
        return Err(cursor.refuse(Fault::UnknownWord { what: "target", word: target, instead }));
    }
    let value = match &cursor.node.data {
        Data::Table(_) => {
            let [clear] = cursor.known_entries(["clear"], A_VALUE)?;
            match clear {
                Some(clear) if matches!(clear.node.data, Data::Bool(true)) => Json::Null,
                _ => return Err(cursor.wrong_type(A_VALUE)),
            }
        }
        _ => scalar(cursor, A_VALUE)?,
    };
    outcome.values.insert(target, value);
    Ok(())
}

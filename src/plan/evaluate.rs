//! Evaluation: the patch of one user, and notes about it.

use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use serde_json::Value as Json;
use strum::{IntoStaticStr, VariantNames};

use crate::domain::kept::{is_same, is_same_name};
use crate::domain::patch::{Change, Patch, Target};
use crate::domain::user::User;

use super::failure::{Failure, FailureCode};
use super::language::TODAY;
use super::otherwise::Otherwise;
use super::table::Scope;
use super::{Inner, TargetRule, Written};

/// The outcome for one user.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The changes; `None` if nothing would change.
    pub patch: Option<Patch>,
    /// Notes for counts and reports, one of each kind. A user with a patch can have notes too, for
    /// the targets that are not in it.
    pub notes: Vec<Note>,
}

/// A note about a user. No variant holds personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Every target already has its value.
    Same,
    /// A target was skipped by the plan's own rules.
    Skipped(SkipReason),
    /// A table does not have the key that it was read with.
    MissedKey {
        /// The table.
        table: String,
        /// The key; `None` if it was read from a field that identifies a person, or looks like an
        /// address or a phone number. The result of `| domain` is shown: it names a mail host and
        /// helps to complete the table.
        key: Option<String>,
    },
    /// There is no value to send.
    Failed {
        /// The target, as in [`Plan::targets`](super::Plan::targets), or `where`.
        target: String,
        /// The code, for counts.
        code: FailureCode,
        /// The message, for people.
        message: String,
    },
}

/// The reason why a target was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum SkipReason {
    /// The plan's `where` is false.
    WhereIsFalse,
    /// The expression has no value, and `otherwise` is keep.
    ValueUndefined,
    /// `company_id` selected no company.
    NoCompany,
    /// `company_id` selected more than one company.
    SeveralCompanies,
    /// `company_id` selected a company that the user does not belong to.
    NotInCompany,
}

impl SkipReason {
    /// Returns the reason as it is written in rows, summaries and logs.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The result of one target.
pub(super) enum TargetResult {
    Set(Change),
    Same,
    Skipped(SkipReason),
}

impl Inner {
    pub(super) fn evaluate(&self, user: &User, today: Option<i64>) -> Evaluation {
        let (changes, mut notes) = self.decide(user.body(), today);
        if changes.is_empty() {
            return Evaluation { patch: None, notes };
        }
        let unsettled = self.unsettled(user.body(), &changes, today);
        if !unsettled.is_empty() {
            notes.extend(unsettled);
            return Evaluation { patch: None, notes };
        }
        Evaluation { patch: Some(Patch { user: user.id().clone(), changes }), notes }
    }

    /// Returns the names that the plan gives companies for this user, including unchanged names.
    pub(super) fn company_names(&self, user: &User, today: Option<i64>) -> Vec<(String, Json)> {
        let of_company = |setting: &TargetRule| matches!(setting.target, Written::Company { .. });
        if !self.settings.iter().any(of_company) {
            return Vec::new();
        }
        let Ok(scope) = self.scope(user.body(), today) else { return Vec::new() };
        let holds = self.condition.as_ref().is_none_or(|condition| condition.holds(&scope).unwrap_or(false));
        let name = |setting: &TargetRule| {
            let Written::Company { id } = &setting.target else { return None };
            let (company, _) = company(user.body(), &company_ids(id.value(&scope).ok()?).ok()?).ok()?;
            Some((company, setting.new_value(&scope).ok()??))
        };
        self.settings.iter().filter(|_| holds).filter_map(name).collect()
    }

    /// Returns everything that an expression can see.
    pub(super) fn scope(&self, body: &Json, today: Option<i64>) -> Result<Arc<Scope>, Failure> {
        if self.reads.today && today.is_none() {
            return Err(FailureCode::ValueUndefined.because("the day of the run is not known here"));
        }
        Ok(Scope::new(self.reads.project(body), today, Arc::clone(&self.tables)))
    }

    fn decide(&self, body: &Json, today: Option<i64>) -> (Vec<Change>, Vec<Note>) {
        let scope = match self.scope(body, today) {
            Ok(scope) => scope,
            Err(failure) => return (Vec::new(), vec![failed(TODAY, failure)]),
        };
        let (mut changes, mut notes) = (Vec::new(), Vec::new());
        match self.condition.as_ref().map(|condition| condition.holds(&scope)) {
            Some(Err(failure)) => notes.push(failed("where", failure)),
            Some(Ok(false)) => notes.push(Note::Skipped(SkipReason::WhereIsFalse)),
            Some(Ok(true)) | None => {
                for setting in &self.settings {
                    match setting.outcome(body, &scope) {
                        Ok(TargetResult::Set(change)) => changes.push(change),
                        Ok(TargetResult::Same) => {}
                        Ok(TargetResult::Skipped(reason)) if notes.contains(&Note::Skipped(reason)) => {}
                        Ok(TargetResult::Skipped(reason)) => notes.push(Note::Skipped(reason)),
                        Err(failure) => notes.push(failed(&setting.shown, failure)),
                    }
                }
                if changes.is_empty() && notes.is_empty() {
                    notes.push(Note::Same);
                }
            }
        }
        notes.extend(scope.take_misses().into_iter().map(|miss| Note::MissedKey { table: miss.table, key: miss.key }));
        (changes, notes)
    }

    /// Returns the targets that would be written again after being written. A plan that counts up
    /// would count again at each redelivery and each generation, so such a user gets no patch.
    fn unsettled(&self, body: &Json, changes: &[Change], today: Option<i64>) -> Vec<Note> {
        if !self.reads_what_it_sets {
            return Vec::new();
        }
        let mut after = body.clone();
        for change in changes {
            apply(&mut after, change);
        }
        let failure = FailureCode::NeverSettles
            .because("the plan would change this again after changing it: it reads what it writes");
        let (again, _) = self.decide(&after, today);
        again.iter().map(|change| failed(&change.target.to_string(), failure)).collect()
    }
}

pub(super) fn failed(target: &str, failure: Failure) -> Note {
    Note::Failed { target: target.to_owned(), code: failure.code, message: failure.message.to_owned() }
}

impl TargetRule {
    pub(super) fn outcome(&self, body: &Json, scope: &Arc<Scope>) -> Result<TargetResult, Failure> {
        let (target, replaced) = match &self.target {
            Written::Attribute(name) => {
                let present = body.get("custom_attributes").and_then(|all| all.get(name));
                (Target::Attribute(name.clone()), present)
            }
            Written::Field(name) => (Target::Field(name.clone()), body.get(name)),
            Written::Company { id } => match company(body, &company_ids(id.value(scope)?)?) {
                Ok((id, name)) => (Target::CompanyName(id), name),
                Err(reason) => return Ok(TargetResult::Skipped(reason)),
            },
        };
        let Some(new) = self.new_value(scope)? else { return Ok(TargetResult::Skipped(SkipReason::ValueUndefined)) };
        let same = match replaced {
            None => new.is_null(),
            Some(old) => is_same(&new, old) || target.is_name() && is_same_name(&new, old),
        };
        Ok(if same {
            TargetResult::Same
        } else {
            TargetResult::Set(Change { target, new, replaced: replaced.cloned() })
        })
    }

    /// Returns the value to send, null to clear, or `None` to keep the old value.
    fn new_value(&self, scope: &Arc<Scope>) -> Result<Option<Json>, Failure> {
        match (self.value.value(scope)?, &self.otherwise) {
            (Some(value), _) => self.kind.accept(&value).map(Some),
            (None, Otherwise::Keep) => Ok(None),
            (None, Otherwise::Clear) => Ok(Some(Json::Null)),
            (None, Otherwise::Value(value)) => Ok(Some(value.clone())),
            (None, Otherwise::Error) => {
                Err(FailureCode::ValueUndefined.because("the expression has no value for this user"))
            }
        }
    }
}

/// Returns the ids that a `company_id` expression selected: one scalar or a list of them, without
/// missing items.
fn company_ids(chosen: Option<Value>) -> Result<Vec<String>, Failure> {
    let Some(chosen) = chosen else { return Ok(Vec::new()) };
    let items = match chosen.kind() {
        ValueKind::Seq | ValueKind::Iterable => chosen.try_iter().map_err(|error| Failure::from(&error))?.collect(),
        _ => vec![chosen],
    };
    let mut ids = Vec::new();
    for item in items {
        match item.kind() {
            ValueKind::Undefined | ValueKind::None => {}
            // No company has the empty id: Intercom refuses the whole request for it.
            ValueKind::String if item.as_str().is_some_and(|id| id.trim().is_empty()) => {}
            ValueKind::String | ValueKind::Number => ids.push(item.to_string()),
            _ => return Err(FailureCode::WrongType.because("company_id is not a text, a number, or a list of them")),
        }
    }
    Ok(ids)
}

/// Returns the one company and its present name.
fn company<'b>(body: &'b Json, ids: &[String]) -> Result<(String, Option<&'b Json>), SkipReason> {
    let id = match ids {
        [] => return Err(SkipReason::NoCompany),
        [id] => id,
        _ => return Err(SkipReason::SeveralCompanies),
    };
    let company = companies(body).find(|company| has_id(company, id)).ok_or(SkipReason::NotInCompany)?;
    Ok((id.clone(), company.get("name")))
}

pub(super) fn companies(body: &Json) -> impl Iterator<Item = &Json> {
    body.pointer("/companies/companies").and_then(Json::as_array).into_iter().flatten()
}

pub(super) fn has_id(company: &Json, id: &str) -> bool {
    match company.get("company_id") {
        Some(Json::String(text)) => text == id,
        Some(Json::Number(number)) => number.to_string() == id,
        _ => false,
    }
}

/// Applies a change to the body, as Intercom does.
pub(super) fn apply(body: &mut Json, change: &Change) {
    match &change.target {
        Target::Attribute(name) => {
            if !body["custom_attributes"].is_object() {
                body["custom_attributes"] = Json::Object(serde_json::Map::new());
            }
            body["custom_attributes"][name] = change.new.clone();
        }
        Target::Field(name) => body[name] = change.new.clone(),
        Target::CompanyName(id) => {
            let companies = body.pointer_mut("/companies/companies").and_then(Json::as_array_mut);
            for company in companies.into_iter().flatten().filter(|company| has_id(company, id)) {
                company["name"] = change.new.clone();
            }
        }
    }
}

//! Converts the tree to a plan that can run: every key known, every name valid, every expression
//! compiled.

use std::sync::Arc;

use minijinja::value::Value;
use strum::VariantNames;

use super::error::{Fault, Instead, PlanError};
use super::expression::Expression;
use super::hints;
use super::node::Data;
use super::otherwise::Otherwise;
use super::paths::{Segment, attribute, spell};
use super::projection;
use super::read_cases::{About, ReadCases};
use super::read_tables::read_tables;
use super::reads::Reads;
use super::scanner::Scanner;
use super::table::Tables;
use super::target::{check_attribute_name, field_type};
use super::value::ValueType;
use super::{Inner, TargetRule, Written};
use crate::domain::patch::spell_key;
use crate::domain::user::Contacts;

/// The most targets of one plan.
const TARGETS_MAX: usize = 64;

/// The most bytes of a plan as JSON. A run stores it in one ledger item, which `DynamoDB` limits to
/// 400 KB with its key.
const STORED_BYTES_MAX: usize = 384 * 1024;

const NAME_LENGTH_MAX: usize = 64;

/// The keys of a plan.
pub(super) const PLAN_KEYS: [&str; 7] = ["name", "contacts", "where", "show_missed", "tables", "set", CASES];
/// The keys of a target.
pub(super) const TARGET_KEYS: [&str; 3] = ["type", "value", "otherwise"];
/// The keys of the target `company.name`.
pub(super) const COMPANY_KEYS: [&str; 4] = ["type", "value", "otherwise", "company_id"];
/// The key of the test cases, which a run's copy of the plan does not have.
const CASES: &str = "test";

const A_TARGET: &str = "a table with type and value, as [set.custom_attributes.\"has avatar\"]";
const AN_EXPRESSION: &str = "an expression in quotes, as \"user.avatar.image_url is present\"";

pub(super) fn compile(root: &Scanner<'_>, read_cases: Option<ReadCases>) -> Result<Inner, PlanError> {
    let [name, contacts, condition, show_missed, tables, set, cases] = root.known_entries(PLAN_KEYS, "a table")?;
    let name = name.ok_or_else(|| root.missing("name", "name = \"has-avatar\"")).and_then(|name| read_name(&name));
    let name = root.keep(name).unwrap_or_default();
    let contacts = contacts.and_then(|contacts| root.keep(read_contacts(&contacts))).unwrap_or_default();
    let mut tables = tables.map(|tables| read_tables(&tables)).transpose()?.unwrap_or_default();
    if let Some(asked) = show_missed {
        let Data::Bool(asked) = asked.node.data else { return Err(asked.wrong_type("true or false")) };
        for table in tables.values_mut() {
            table.shows_missed = asked;
        }
    }
    let condition = condition.and_then(|condition| root.keep(expression(&condition, &tables)));
    let set = set.ok_or_else(|| root.missing("set", "[set.custom_attributes.\"has avatar\"]"))?;
    let mut settings = read_settings(&set, &tables)?;
    // Sort by target: JSON and TOML have different orders, and a plan's patches must not depend on
    // the format.
    settings.sort_by(|a, b| a.shown.cmp(&b.shown));
    let mut reads = Reads::default();
    for expression in settings.iter().flat_map(TargetRule::expressions).chain(&condition) {
        reads.merge(&expression.reads);
    }
    let projection = projection::of(&reads, &settings);
    let reads_what_it_sets = settings.iter().any(|setting| match &setting.target {
        Written::Attribute(name) => reads.reads_attribute(name),
        Written::Field(name) => reads.fields.contains(name),
        Written::Company { .. } => true,
    });
    let required = required(&reads, &settings);
    let warnings = super::warnings::of(&reads, &settings, &tables);
    let about = About { settings: &settings, reads: &reads };
    let cases = read_cases.zip(cases).map(|(read, cases)| read(&cases, &about)).unwrap_or_default();
    let mut stored = root.node.to_json();
    if let Some(stored) = stored.as_object_mut() {
        stored.remove(CASES);
    }
    let bytes = stored.to_string().len();
    if bytes > STORED_BYTES_MAX {
        return Err(root.refuse(Fault::TooMany { what: "bytes in a plan", count: bytes, max: STORED_BYTES_MAX }));
    }
    Ok(Inner {
        name,
        contacts,
        condition,
        settings,
        tables: Arc::new(tables),
        reads,
        projection,
        required,
        warnings,
        reads_what_it_sets,
        stored,
        cases,
    })
}

/// Returns the paths that are read, without the targets: attributes first, ordered by name.
fn required(reads: &Reads, settings: &[TargetRule]) -> Vec<(Vec<Segment>, String)> {
    let is_target = |path: &[Segment]| {
        settings.iter().any(|setting| match &setting.target {
            Written::Attribute(name) => attribute(path) == Some(name),
            Written::Field(name) => matches!(path, [Segment::Field(field)] if field == name),
            Written::Company { .. } => false,
        })
    };
    let whole = |path: &[Segment]| matches!(path, [Segment::Field(field)] if field == "custom_attributes");
    let wanted = reads.paths.iter().filter(|path| !is_target(path) && !whole(path));
    let (attributes, fields): (Vec<_>, Vec<_>) = wanted.partition(|path| attribute(path).is_some());
    let shown = |path: &Vec<Segment>| match attribute(path) {
        Some(name) if spell_key(name) == name => format!("user.custom_attributes.{name}"),
        Some(name) => format!("user.custom_attributes[{name:?}]"),
        None => format!("user.{}", spell(path)),
    };
    attributes.into_iter().chain(fields).map(|path| (path.clone(), shown(path))).collect()
}

fn read_name(cursor: &Scanner<'_>) -> Result<String, PlanError> {
    let name = cursor.text("a text")?;
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain && (1..=NAME_LENGTH_MAX).contains(&name.len()) {
        return Ok(name.to_owned());
    }
    Err(cursor.refuse(Fault::Name { name: name.chars().take(NAME_LENGTH_MAX).collect() }))
}

fn read_contacts(cursor: &Scanner<'_>) -> Result<Contacts, PlanError> {
    let word = cursor.text("\"users\", \"leads\" or \"all\"")?;
    let instead = || Instead::of(word, Contacts::VARIANTS.iter().copied());
    word.parse().map_err(|_| cursor.refuse(Fault::UnknownContacts { word: word.to_owned(), instead: instead() }))
}

fn expression(cursor: &Scanner<'_>, tables: &Tables) -> Result<Expression, PlanError> {
    Expression::new(cursor.text(AN_EXPRESSION)?, tables, cursor.of_run).map_err(|fault| cursor.refuse(fault))
}

fn read_settings(set: &Scanner<'_>, tables: &Tables) -> Result<Vec<TargetRule>, PlanError> {
    let mut settings = Vec::new();
    for (name, target) in set.entries(A_TARGET)? {
        match name {
            "custom_attributes" => {
                for (name, target) in target.entries(A_TARGET)? {
                    let checked = check_attribute_name(name).map_err(|fault| target.refuse(fault));
                    target.keep(checked);
                    let setting = read_setting(&target, Written::Attribute(name.to_owned()), None, tables);
                    settings.extend(target.keep(setting).flatten());
                }
            }
            "company" => {
                let [name] = target.known_entries(["name"], "[set.company.name]")?;
                let name = name.ok_or_else(|| target.missing("name", "[set.company.name]"));
                let setting = name.and_then(|name| read_company(&name, tables));
                settings.extend(target.keep(setting).flatten());
            }
            field => {
                let kind = field_type(field).map_err(|fault| target.refuse(fault));
                let setting =
                    kind.and_then(|kind| read_setting(&target, Written::Field(field.to_owned()), Some(kind), tables));
                settings.extend(target.keep(setting).flatten());
            }
        }
    }
    match settings.len() {
        0 if set.has_mistakes() => Ok(settings),
        0 => Err(set.missing("custom_attributes", "[set.custom_attributes.\"has avatar\"]")),
        1..=TARGETS_MAX => Ok(settings),
        count => Err(set.refuse(Fault::TooMany { what: "targets", count, max: TARGETS_MAX })),
    }
}

fn read_setting(
    cursor: &Scanner<'_>,
    target: Written,
    kind: Option<ValueType>,
    tables: &Tables,
) -> Result<Option<TargetRule>, PlanError> {
    let [kind_name, value, otherwise] = cursor.known_entries(TARGET_KEYS, A_TARGET)?;
    Ok(finish(cursor, target, kind, [kind_name, value, otherwise], tables))
}

fn read_company(cursor: &Scanner<'_>, tables: &Tables) -> Result<Option<TargetRule>, PlanError> {
    let [kind_name, value, otherwise, id] = cursor.known_entries(COMPANY_KEYS, A_TARGET)?;
    let write = "company_id = \"user.companies.companies | map(attribute='company_id')\"";
    let id = id.ok_or_else(|| cursor.missing("company_id", write)).and_then(|id| expression(&id, tables));
    let Some(id) = cursor.keep(id) else { return Ok(None) };
    Ok(finish(cursor, Written::Company { id }, Some(ValueType::Text), [kind_name, value, otherwise], tables))
}

fn finish(
    cursor: &Scanner<'_>,
    target: Written,
    needed: Option<ValueType>,
    [kind, value, otherwise]: [Option<Scanner<'_>>; 3],
    tables: &Tables,
) -> Option<TargetRule> {
    let kind = kind.ok_or_else(|| cursor.missing("type", "type = \"bool\" (or int, float, string, date)"));
    let kind = cursor.keep(kind.and_then(|kind| read_type(&kind, needed)));
    let value = value.ok_or_else(|| cursor.missing("value", "value = \"user.avatar.image_url is present\""));
    let value = cursor.keep(value.and_then(|value| expression(&value, tables)));
    let (Some(kind), Some(value)) = (kind, value) else { return None };
    // Intercom's reference has no null for standard fields other than texts, nor for a company's
    // name.
    let clearable = match &target {
        Written::Attribute(_) => true,
        Written::Field(_) => kind == ValueType::Text,
        Written::Company { .. } => false,
    };
    let otherwise = otherwise.and_then(|otherwise| cursor.keep(Otherwise::read(&otherwise, kind, clearable)));
    let otherwise = otherwise.unwrap_or(Otherwise::Keep);
    let shown = match &target {
        Written::Attribute(name) => format!("custom_attributes.{}", spell_key(name)),
        Written::Field(name) => name.clone(),
        Written::Company { .. } => "company.name".to_owned(),
    };
    Some(TargetRule { target, kind, value, otherwise, shown })
}

fn read_type(cursor: &Scanner<'_>, needed: Option<ValueType>) -> Result<ValueType, PlanError> {
    let name = cursor.text("\"bool\", \"int\", \"float\", \"string\" or \"date\"")?;
    let kind = name.parse::<ValueType>().map_err(|_| {
        let known = hints::type_name(name).map(|known| Instead::Nearest(known.to_owned()));
        let instead = known.unwrap_or_else(|| Instead::of(name, ValueType::VARIANTS.iter().copied()));
        cursor.refuse(Fault::UnknownType { name: name.to_owned(), instead })
    })?;
    match needed {
        Some(needed) if needed != kind => Err(cursor.refuse(Fault::TargetType { needed: needed.into() })),
        _ => Ok(kind),
    }
}

/// Converts a scalar of the plan to a value of the engine.
pub(super) fn scalar(data: &Data) -> Option<Value> {
    Some(match data {
        Data::Bool(value) => Value::from(*value),
        Data::Int(value) => Value::from(*value),
        Data::Float(value) => Value::from(*value),
        Data::Text(value) => Value::from(value.as_str()),
        Data::Table(_) | Data::List(_) | Data::Null | Data::Other(_) => return None,
    })
}

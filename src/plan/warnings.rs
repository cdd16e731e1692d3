//! Warnings about valid plans that are probably mistakes.

use minijinja::value::Value;

use super::filters::domain;
use super::paths;
use super::reads::Reads;
use super::table::Tables;
use super::value::ValueType;
use super::{TargetRule, Written};

pub(super) fn of(reads: &Reads, settings: &[TargetRule], tables: &Tables) -> Vec<String> {
    let mut warnings = Vec::new();
    if reads.today {
        warnings.push("the plan reads `today`: each run on another day can change users again".to_owned());
    }
    for setting in settings {
        let Written::Attribute(name) = &setting.target else { continue };
        if setting.kind == ValueType::Date && !name.ends_with("_at") {
            warnings.push(format!(
                "{}: Intercom shows a date only where the attribute's name ends in _at, and a number otherwise: write \
                 custom_attributes.{name}_at",
                setting.shown
            ));
        }
        if paths::fields().any(|field| field == name) {
            warnings.push(format!(
                "{}: this custom attribute has the name of a standard field, and the field `{name}` itself is not set",
                setting.shown
            ));
        }
    }
    for table in &reads.by_domain {
        let mut keys: Vec<&String> = tables.get(table).into_iter().flat_map(|table| table.rows.keys()).collect();
        keys.sort();
        for key in keys {
            let given = domain(&Value::from(format!("x@{}", key.trim_start_matches('@'))));
            match given.as_str() {
                Some(given) if given == key => {}
                Some(given) => {
                    warnings.push(format!("tables.{table}: `| domain` never gives {key:?}: write {given:?}"));
                }
                None => warnings.push(format!("tables.{table}: `| domain` never gives {key:?}: it is no domain")),
            }
        }
    }
    warnings
}

//! The custom attributes of a workspace, and the comparison with those that a plan writes.

use serde::{Deserialize, Serialize};

/// The type of a plan's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// Any number.
    Float,
    /// A text.
    Text,
    /// Unix seconds.
    Date,
}

/// A custom attribute that a plan writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedAttribute {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub kind: ValueKind,
}

/// A custom attribute that the workspace has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedAttribute {
    /// Its name.
    pub name: String,
    /// Its type in Intercom's words.
    pub data_type: String,
    /// Intercom accepts and drops its values.
    #[serde(default)]
    pub archived: bool,
    /// False if the API cannot write it.
    #[serde(default = "yes")]
    pub api_writable: bool,
}

fn yes() -> bool {
    true
}

impl ValueKind {
    /// Returns the types of Intercom that take such a value, the best one first. A whole number
    /// loses nothing as any number; a number that is not whole would be cut.
    const fn fits(self) -> &'static [&'static str] {
        match self {
            Self::Bool => &["boolean"],
            Self::Int => &["integer", "float"],
            Self::Float => &["float"],
            Self::Text => &["string"],
            Self::Date => &["date", "datetime", "integer"],
        }
    }
}

/// Returns the attributes of a plan that cannot be written, one sentence each with the remedy.
pub fn unwritable(planned: &[PlannedAttribute], listed: &[ListedAttribute]) -> Vec<String> {
    let problem = |planned: &PlannedAttribute| {
        let PlannedAttribute { name, kind } = planned;
        let fits = kind.fits();
        let Some(found) = listed.iter().find(|listed| listed.name == *name) else {
            let alike = listed.iter().find(|listed| listed.name.eq_ignore_ascii_case(name));
            let hint = alike.map(|alike| format!(" (there is \"{}\")", alike.name)).unwrap_or_default();
            return Some(format!(
                "\"{name}\" does not exist{hint}: create it in Intercom's settings for people data, with the type {}",
                fits[0]
            ));
        };
        match found {
            ListedAttribute { archived: true, .. } => Some(format!(
                "\"{name}\" is archived, so Intercom would drop its values: unarchive it, or use another one"
            )),
            ListedAttribute { api_writable: false, .. } => {
                Some(format!("\"{name}\" cannot be written through the API: use another one"))
            }
            ListedAttribute { data_type, .. } if !fits.contains(&data_type.as_str()) => Some(format!(
                "\"{name}\" has the type {data_type}, and the plan's values need {}: change the plan's type, or use another \
                 attribute",
                fits[0]
            )),
            _ => None,
        }
    };
    planned.iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, data_type: &str) -> ListedAttribute {
        ListedAttribute { name: name.to_owned(), data_type: data_type.to_owned(), archived: false, api_writable: true }
    }

    #[test]
    fn each_obstacle_is_named_with_its_remedy() {
        let all = [
            listed("has avatar", "boolean"),
            listed("seats", "integer"),
            listed("price", "float"),
            listed("plan", "string"),
            listed("since", "date"),
            listed("last", "datetime"),
            ListedAttribute { archived: true, ..listed("old", "boolean") },
            ListedAttribute { api_writable: false, ..listed("locked", "boolean") },
        ];
        for (name, kind, problem) in [
            ("has avatar", ValueKind::Bool, None),
            ("seats", ValueKind::Int, None),
            ("price", ValueKind::Int, None),
            ("price", ValueKind::Float, None),
            ("plan", ValueKind::Text, None),
            ("since", ValueKind::Date, None),
            ("last", ValueKind::Date, None),
            ("seats", ValueKind::Date, None),
            ("seats", ValueKind::Float, Some("need float")),
            ("plan", ValueKind::Bool, Some("has the type string")),
            ("Has Avatar", ValueKind::Bool, Some("there is \"has avatar\"")),
            ("new", ValueKind::Text, Some("with the type string")),
            ("old", ValueKind::Bool, Some("archived")),
            ("locked", ValueKind::Bool, Some("cannot be written")),
        ] {
            let planned = PlannedAttribute { name: name.to_owned(), kind };
            let problems = unwritable(&[planned], &all);
            assert_eq!(problems.len(), usize::from(problem.is_some()), "{name} {kind:?} {problems:?}");
            assert!(problem.is_none_or(|text| problems[0].contains(text)), "{problems:?}");
        }
    }
}

//! The custom attributes of a workspace, and the comparison with those that a plan writes.

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
    /// Texts of the plan that it may get as they stand.
    pub texts: Vec<String>,
}

/// A custom attribute that the workspace has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAttribute {
    /// Its name.
    pub name: String,
    /// Its type in Intercom's words; empty if Intercom names none.
    pub data_type: String,
    /// Intercom accepts and drops its values.
    pub archived: bool,
    /// False if the API cannot write it.
    pub api_writable: bool,
    /// The values of a list; empty for other types.
    pub options: Vec<String>,
}

/// The types of Intercom's reference.
const DATA_TYPES: [&str; 6] = ["string", "integer", "float", "boolean", "date", "datetime"];

/// Parts of the name of a type whose values are other objects. Intercom's reference names no such type.
const RELATIONSHIP_TYPES: [&str; 2] = ["relationship", "object"];

impl ListedAttribute {
    /// Returns whether it is a relationship with custom objects, by the name of its type.
    fn is_relationship(&self) -> bool {
        let data_type = self.data_type.to_lowercase();
        RELATIONSHIP_TYPES.iter().any(|part| data_type.contains(part))
    }

    fn is_of_known_type(&self) -> bool {
        DATA_TYPES.contains(&self.data_type.as_str())
    }
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

    /// Returns the type with which an attribute of such values is created, in Intercom's words.
    pub const fn data_type(self) -> &'static str {
        self.fits()[0]
    }
}

/// Returns the attributes of a plan that can be created: no attribute of the workspace has such a
/// name, in capital or small letters. Another spelling is probably a mistake.
pub fn creatable<'p>(planned: &'p [PlannedAttribute], listed: &[ListedAttribute]) -> Vec<&'p PlannedAttribute> {
    let is_new = |planned: &&PlannedAttribute| !listed.iter().any(|listed| is_alike(listed, planned));
    planned.iter().filter(is_new).collect()
}

fn is_alike(listed: &ListedAttribute, planned: &PlannedAttribute) -> bool {
    listed.name.to_lowercase() == planned.name.to_lowercase()
}

/// Returns the attributes of a plan whose type this program does not know. Writes show whether they take
/// the plan's values.
pub fn of_unknown_type<'l>(planned: &[PlannedAttribute], listed: &'l [ListedAttribute]) -> Vec<&'l ListedAttribute> {
    let is_planned = |listed: &&ListedAttribute| planned.iter().any(|planned| planned.name == listed.name);
    listed.iter().filter(is_planned).filter(|listed| !listed.is_of_known_type()).collect()
}

/// Returns the attributes of a plan that cannot be written, one sentence each with the remedy.
pub fn unwritable(planned: &[PlannedAttribute], listed: &[ListedAttribute]) -> Vec<String> {
    let problem = |planned: &PlannedAttribute| {
        let PlannedAttribute { name, kind, texts } = planned;
        let fits = kind.fits();
        let Some(found) = listed.iter().find(|listed| listed.name == *name) else {
            let data_type = kind.data_type();
            let create = format!("create it in Intercom's settings for people data, with the type {data_type}");
            return Some(match listed.iter().find(|listed| is_alike(listed, planned)) {
                Some(alike) => {
                    format!("\"{name}\" does not exist (there is \"{}\"): correct the plan, or {create}", alike.name)
                }
                None => format!("\"{name}\" does not exist: {create}, or start with create_attributes"),
            });
        };
        match found {
            ListedAttribute { archived: true, .. } => Some(format!(
                "\"{name}\" is archived, so Intercom would drop its values: unarchive it, or use another one"
            )),
            ListedAttribute { api_writable: false, .. } => {
                Some(format!("\"{name}\" cannot be written through the API: use another one"))
            }
            found if found.is_relationship() => Some(format!(
                "\"{name}\" is a relationship with custom objects, which has no value to write: use another one"
            )),
            found if !found.is_of_known_type() => None,
            ListedAttribute { data_type, .. } if !fits.contains(&data_type.as_str()) => Some(format!(
                "\"{name}\" has the type {data_type}, and the plan's values need {}: change the plan's type, or use another \
                 attribute",
                fits[0]
            )),
            ListedAttribute { options, .. } if !options.is_empty() => {
                let is_no_option = |text: &&String| !options.contains(text);
                let missing: Vec<String> =
                    texts.iter().filter(is_no_option).map(|text| format!("\"{text}\"")).collect();
                (!missing.is_empty()).then(|| {
                    format!(
                        "\"{name}\" is a list without the option {}: add it in Intercom's settings for people data, or \
                         change the plan",
                        missing.join(", ")
                    )
                })
            }
            _ => None,
        }
    };
    planned.iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, data_type: &str) -> ListedAttribute {
        let (name, data_type) = (name.to_owned(), data_type.to_owned());
        ListedAttribute { name, data_type, archived: false, api_writable: true, options: Vec::new() }
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
            listed("typeless", ""),
            listed("odd", "money"),
            listed("order", "relationship"),
            listed("orders", "Custom_Object"),
            ListedAttribute { archived: true, ..listed("odd and old", "money") },
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
            ("typeless", ValueKind::Bool, None),
            ("odd", ValueKind::Int, None),
            ("order", ValueKind::Text, Some("relationship with custom objects")),
            ("orders", ValueKind::Text, Some("relationship with custom objects")),
            ("odd and old", ValueKind::Int, Some("archived")),
        ] {
            let planned = PlannedAttribute { name: name.to_owned(), kind, texts: Vec::new() };
            let problems = unwritable(&[planned], &all);
            assert_eq!(problems.len(), usize::from(problem.is_some()), "{name} {kind:?} {problems:?}");
            assert!(problem.is_none_or(|text| problems[0].contains(text)), "{problems:?}");
        }
        let planned = |name: &str| PlannedAttribute { name: name.to_owned(), kind: ValueKind::Bool, texts: Vec::new() };
        let planned = ["has avatar", "odd", "typeless"].map(planned);
        let unknown = of_unknown_type(&planned, &all);
        assert_eq!(unknown.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["typeless", "odd"]);
    }

    #[test]
    fn texts_of_the_plan_must_be_options_of_a_list() {
        let list =
            ListedAttribute { options: vec!["Gold".to_owned(), "Silver".to_owned()], ..listed("tier", "string") };
        let problems = |texts: &[&str], listed: &ListedAttribute| {
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            let planned = PlannedAttribute { name: "tier".to_owned(), kind: ValueKind::Text, texts };
            unwritable(&[planned], std::slice::from_ref(listed))
        };
        assert_eq!(problems(&["Gold"], &list), [""; 0]);
        assert_eq!(problems(&[], &list), [""; 0], "values of users are not known before the run");
        let wrong = problems(&["Gold", "gold", "Bronze"], &list);
        assert!(wrong[0].contains("without the option \"gold\", \"Bronze\""), "{wrong:?}");
        assert_eq!(problems(&["Bronze"], &listed("tier", "string")), [""; 0], "it is no list");
    }

    #[test]
    fn attributes_with_a_new_name_can_be_created() {
        let planned = |name: &str| PlannedAttribute { name: name.to_owned(), kind: ValueKind::Date, texts: Vec::new() };
        let all = [planned("new at"), planned("Seats"), planned("old")];
        let there = [listed("seats", "integer"), ListedAttribute { archived: true, ..listed("old", "date") }];
        assert_eq!(creatable(&all, &there), [&all[0]]);
        assert_eq!([ValueKind::Bool, ValueKind::Date].map(ValueKind::data_type), ["boolean", "date"]);
    }
}

//! Compares `docs/plan.schema.json` with the language. `tests/schema/schema.py` validates plans with it.

use std::collections::BTreeSet;

use strum::VariantNames;

use super::*;
use crate::plan::compile::{COMPANY_KEYS, PLAN_KEYS, TARGET_KEYS};
use crate::plan::expression::EXPRESSION_BYTES_MAX;
use crate::plan::otherwise::WORDS;
use crate::plan::paths::{ALIASES, fields};
use crate::plan::read_cases::{CASE_KEYS, EXPECT_KEYS};
use crate::plan::target::FIELDS;

fn schema() -> Json {
    serde_json::from_str(include_str!("../../../docs/plan.schema.json")).unwrap()
}

/// Returns the keys of the object at a place, which must refuse other keys.
#[track_caller]
fn keys(schema: &Json, place: &str) -> BTreeSet<String> {
    let object = schema.pointer(place).unwrap_or_else(|| panic!("no {place}"));
    assert_eq!(object["additionalProperties"], json!(false), "{place}");
    object["properties"].as_object().unwrap().keys().cloned().collect()
}

/// Returns the words that are allowed at a place.
fn words(schema: &Json, place: &str) -> BTreeSet<String> {
    let words = schema.pointer(place).unwrap_or_else(|| panic!("no {place}"))["enum"].as_array().unwrap();
    words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn set<'w>(words: impl IntoIterator<Item = &'w str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_schema_has_the_keys_of_the_language() {
    let schema = schema();
    let targets = FIELDS.iter().map(|(field, _)| *field).chain(["custom_attributes", "company"]);
    let own_fields = fields().chain(ALIASES.iter().filter(|alias| alias.of.is_empty()).map(|alias| alias.newer));
    for (place, expected) in [
        ("", set(PLAN_KEYS)),
        ("/properties/set", set(targets)),
        ("/definitions/target", set(TARGET_KEYS)),
        ("/properties/set/properties/phone", set(TARGET_KEYS)),
        ("/properties/set/properties/company/properties/name", set(COMPANY_KEYS)),
        ("/definitions/test", set(CASE_KEYS)),
        ("/definitions/test/properties/expect", set(EXPECT_KEYS)),
        ("/definitions/test/properties/user", set(own_fields)),
    ] {
        assert_eq!(keys(&schema, place), expected, "{place}");
    }
}

#[test]
fn the_schema_has_the_words_of_the_language() {
    let schema = schema();
    let expect = "/definitions/test/properties/expect/properties";
    assert_eq!(words(&schema, "/properties/contacts"), set(Contacts::VARIANTS.iter().copied()));
    assert_eq!(words(&schema, "/definitions/type"), set(ValueType::VARIANTS.iter().copied()));
    assert_eq!(words(&schema, "/definitions/otherwise/anyOf/0"), set(WORDS));
    let reasons = SkipReason::VARIANTS.iter().chain(Contacts::ROLES).copied();
    assert_eq!(words(&schema, &format!("{expect}/skip")), set(reasons));
    assert_eq!(words(&schema, &format!("{expect}/error")), set(FailureCode::VARIANTS.iter().copied()));
    for (field, kind) in FIELDS {
        let kind: &str = kind.into();
        assert_eq!(schema["properties"]["set"]["properties"][field]["properties"]["type"]["const"], kind, "{field}");
    }
    assert_eq!(schema["definitions"]["expression"]["maxLength"], EXPRESSION_BYTES_MAX);
}

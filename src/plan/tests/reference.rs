//! Compares `docs/plans.md` with the language.

use std::collections::BTreeSet;

use strum::VariantNames;

use super::*;
use crate::plan::language::{FILTERS, TESTS};
use crate::plan::otherwise::WORDS;
use crate::plan::paths::{ALIASES, Alias, PATHS};

const REFERENCE: &str = include_str!("../../../docs/plans.md");

/// Returns the section under a heading.
fn section(heading: &str) -> &'static str {
    let (_, rest) = REFERENCE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

/// Returns the words of the first column of a section's table: `min`, of `min(a)`.
fn rows(heading: &str) -> BTreeSet<&'static str> {
    let cells = section(heading).lines().filter_map(|line| line.strip_prefix("| `")).map(|line| {
        let (cell, _) = line.split_once(" | ").unwrap();
        cell
    });
    let words = cells.flat_map(|cell| cell.split("`, `")).map(|word| word.trim_matches('`'));
    words.map(|word| word.split_once('(').map_or(word, |(name, _)| name)).collect()
}

#[test]
fn each_filter_and_test_is_described_and_no_other() {
    assert_eq!(rows("Filters"), FILTERS.iter().map(|word| word.name).collect());
    assert_eq!(rows("Tests"), TESTS.iter().map(|(word, _)| *word).collect());
}

#[test]
fn each_path_is_described() {
    let reads = section("What an expression reads");
    for path in PATHS {
        let described = match path.split_once("[].") {
            None => reads.contains(&format!("`user.{path}`")),
            Some((list, field)) => reads.lines().any(|line| {
                line.contains(&format!("`user.{list}`"))
                    && line.contains("objects with")
                    && line.contains(&format!("`{field}`"))
            }),
        };
        assert!(described, "{path}");
    }
    let paths = reads.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("user."));
    for path in paths.filter(|path| path.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.')) {
        assert!(PATHS.iter().any(|known| *known == path || known.starts_with(&format!("{path}["))), "{path}");
    }
}

#[test]
fn each_name_of_api_2_is_described() {
    let names = section("Names of API 2.x");
    for Alias { of, newer, own } in ALIASES {
        let described = match *of {
            "" | "tags" | "companies" | "social_profiles" => {
                let path =
                    |name: &str| if of.is_empty() { format!("`user.{name}`") } else { format!("`user.{of}.{name}`") };
                names.contains(&path(newer)) && names.contains(&path(own))
            }
            _ => names.contains(&format!("`{newer}`")) && names.contains(&format!("`{own}`")),
        };
        assert!(described, "{of} {newer} {own}");
    }
}

#[test]
fn types_words_and_limits_are_described() {
    for word in ValueType::VARIANTS.iter().copied().chain(WORDS) {
        assert!(section("Targets").contains(&format!("`\"{word}\"`")), "{word}");
    }
    for limit in ["262,144 bytes", "512 KiB", "384 KiB", "64 targets", "4,096 bytes"] {
        assert!(REFERENCE.contains(limit), "{limit}");
    }
    assert_eq!(crate::plan::read_tables::TABLES_BYTES_MAX, 262_144);
    assert_eq!((PLAN_BYTES_MAX, crate::plan::expression::EXPRESSION_BYTES_MAX), (512 * 1024, 4096));
}

#[test]
fn the_example_is_a_plan() {
    let (_, rest) = REFERENCE.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let plan = Plan::from_toml("example", example).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.warnings(), [] as [String; 0]);
    let cleared = "name = \"p\"\n[set.custom_attributes.x]\ntype = \"int\"\nvalue = \"none\"\notherwise = \"clear\"\n";
    let cleared = Plan::from_toml("p", cleared).unwrap();
    assert_eq!(new_value(&cleared, json!({"custom_attributes": {"x": 5}})), Some(Json::Null));
}

//! The table of ARCHITECTURE.md repeats the declared scenarios.

use std::collections::BTreeSet;

use super::{On, SUITE, Scenario};

const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");
const HEADING: &str = "| scenario | 1.4 | 2.17 | Preview |";
const APIS: [On; 3] = [On::v1_4(), On::v2_17(), On::preview()];

fn declared() -> impl Iterator<Item = &'static Scenario> {
    SUITE.into_iter().flatten()
}

/// Returns the words of an API's cell: the reason why the scenario does not apply.
fn cell(scenario: &Scenario, api: On) -> &'static str {
    let why = scenario.not.iter().find(|(other, _)| *other == api).map(|(_, why)| *why);
    why.unwrap_or("✓")
}

#[test]
fn the_table_of_scenarios_is_the_suite() {
    let table = ARCHITECTURE.lines().skip_while(|line| *line != HEADING).skip(2);
    let documented: Vec<&str> = table.take_while(|line| line.starts_with('|')).collect();
    let row = |scenario: &Scenario| {
        let cells = APIS.map(|api| cell(scenario, api)).join(" | ");
        format!("| {} | {cells} |", scenario.name.replace('_', " "))
    };
    let rows: Vec<String> = declared().map(row).collect();
    assert!(rows == documented, "ARCHITECTURE.md needs these rows after `{HEADING}`:\n{}", rows.join("\n"));
}

#[test]
fn every_scenario_is_played_or_excused_on_each_api() {
    let mut names = BTreeSet::new();
    for Scenario { name, on, not } in declared() {
        assert!(names.insert(name), "{name} is declared twice");
        for api in APIS {
            let places = on.iter().chain(not.iter().map(|(api, _)| api)).filter(|place| **place == api).count();
            assert_eq!(places, 1, "{name} on {}", api.version);
        }
    }
    assert!(names.len() > 40, "{} scenarios", names.len());
}

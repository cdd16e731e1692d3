//! Compares the line with the specification in CloudWatch's user guide: the schema and its prose.

use super::*;
use crate::steps::{check, scroll, submit};

const NOW_MS: i64 = 1_479_981_900_123;

/// The specification's units. CloudWatch refuses a metric with another unit.
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Checks a line against the schema: required members, types, lengths and counts. Each name in the
/// directive must be a member of the root.
fn conforms(line: &Value) {
    let aws = &line["_aws"];
    assert_eq!(keys(aws), ["CloudWatchMetrics", "Timestamp"]);
    assert!(aws["Timestamp"].is_i64() || aws["Timestamp"].is_u64(), "{aws}");
    let directives = aws["CloudWatchMetrics"].as_array().unwrap();
    assert!(!directives.is_empty());
    for directive in directives {
        assert_eq!(keys(directive), ["Dimensions", "Metrics", "Namespace"]);
        assert!((1..=1024).contains(&directive["Namespace"].as_str().unwrap().len()));
        let sets = directive["Dimensions"].as_array().unwrap();
        assert!(!sets.is_empty());
        for name in sets.iter().flat_map(|set| set.as_array().unwrap()) {
            let name = name.as_str().unwrap();
            assert!((1..=250).contains(&name.len()));
            assert!((1..=1024).contains(&line[name].as_str().unwrap().len()), "a dimension's value is a text: {line}");
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()));
        for metric in metrics {
            assert_eq!(keys(metric), ["Name", "Unit"]);
            let name = metric["Name"].as_str().unwrap();
            assert!((1..=1024).contains(&name.len()) && line[name].is_number(), "{name}: {line}");
            assert!(UNITS.contains(&metric["Unit"].as_str().unwrap()), "{metric}");
        }
        let told = metrics.iter().map(|metric| metric["Name"].as_str().unwrap());
        let mut members: Vec<&str> = told.chain(["_aws", DIMENSION]).collect();
        members.sort_unstable();
        assert_eq!(keys(line), members, "every member of the root is explained by the directive");
    }
}

#[test]
fn line_conforms_to_the_specification() {
    let metrics = [Metric::count("Pages", 1), Metric::percent("QuotaUsedPercent", 0)];
    let line = line(Some("bulk-eu"), NOW_MS, &metrics).unwrap();
    conforms(&line);
    let expected = json!({
        "_aws": {
            "Timestamp": 1_479_981_900_123_i64,
            "CloudWatchMetrics": [{
                "Namespace": "intercom-bulk",
                "Dimensions": [["Stack"]],
                "Metrics": [{"Name": "Pages", "Unit": "Count"}, {"Name": "QuotaUsedPercent", "Unit": "Percent"}],
            }],
        },
        "Stack": "bulk-eu",
        "Pages": 1,
        "QuotaUsedPercent": 0,
    });
    assert_eq!(line, expected);
}

#[test]
fn lines_of_all_steps_conform_and_share_units() {
    let scroll = scroll::ScrollOutcome { users: 100, patches: 7, pages: 1, turns: 1, ..Default::default() };
    let submit =
        submit::SubmitOutcome { jobs: 2, users: 150, refused: 1, quota_used_percent: 40, ..Default::default() };
    let check = check::CheckOutcome { closed: 3, with_errors: 1, unknown: 1, failed: 5, ..Default::default() };
    let all = [scroll.metrics(), submit.metrics(), check.metrics()];
    for metrics in &all {
        conforms(&line(None, NOW_MS, metrics).unwrap());
    }
    let mut units = std::collections::BTreeMap::new();
    for metric in all.iter().flatten() {
        assert_eq!(*units.entry(metric.name).or_insert(metric.unit), metric.unit, "{}", metric.name);
    }
    assert_eq!(line(None, NOW_MS, &all[0]).unwrap()["Stack"], "-");
}

#[test]
fn idle_invocation_writes_no_line() {
    assert_eq!(line(Some("s"), NOW_MS, &check::CheckOutcome::default().metrics()), None);
    let dropped = scroll::ScrollOutcome { did: vec![scroll::Action::Nothing], ..Default::default() };
    assert_eq!(line(Some("s"), NOW_MS, &dropped.metrics()), None);
}

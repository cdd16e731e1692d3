//! Facts that both the template and the library state.

use intercom_bulk::runtime::config::{Places, Settings, WorkspaceSettings};
use intercom_bulk::runtime::settings::{SETTINGS, TOKEN_PARAMETER};
use intercom_bulk::{steps::check, steps::scroll, steps::submit};
use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::source::read;

/// Returns the settings that the library reads, by running it.
fn settings() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let get = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        // A value for each setting without a default: reading ends at the first that is missing.
        let setting = SETTINGS.iter().find(|setting| setting.name == name).expect("each setting is declared");
        let takes_text = setting.default.is_none() && *setting != TOKEN_PARAMETER;
        takes_text.then(|| "dG9rOjEyMzQ=".to_owned())
    };
    Places::read(get).unwrap();
    Settings::read(get).unwrap();
    WorkspaceSettings::read(get).unwrap();
    asked.into_inner()
}

/// Optional settings that `infra/function` reads in addition.
const OF_FUNCTIONS: [&str; 3] = ["AWS_ENDPOINT_URL", "STACK_NAME", "WARM_CONNECTIONS"];
/// The two ways to give the token.
const TOKEN: [&str; 2] = ["INTERCOM_TOKEN", "INTERCOM_TOKEN_PARAMETER"];

#[test]
fn template_sets_all_settings_of_the_library() {
    let template = read("template.yaml");
    let (_, after) = template.split_once("      Variables:\n").unwrap();
    let set =
        after.lines().take_while(|line| line.starts_with("        ")).filter_map(|line| line.trim().split_once(':'));
    let set: BTreeSet<String> = set.map(|(name, _)| name.to_owned()).filter(|name| !name.starts_with('#')).collect();
    assert_eq!(TOKEN.iter().filter(|name| set.contains(**name)).count(), 1, "the token has one place");
    let special = |name: &String| TOKEN.contains(&name.as_str()) || OF_FUNCTIONS.contains(&name.as_str());
    let set: BTreeSet<String> = set.into_iter().filter(|name| !special(name)).collect();
    let read: BTreeSet<String> = settings().into_iter().filter(|name| !special(name)).collect();
    assert_eq!(set, read);
}

/// Parses `"15": { Function: 25, Visibility: 30 }` as numbers.
fn numbers(line: &str) -> Vec<u64> {
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[test]
fn template_time_outs_match_the_library() {
    let template = read("template.yaml");
    let (_, after) = template.split_once("  ByPageTimeout:\n").unwrap();
    let rows: Vec<Vec<u64>> = after.lines().take_while(|line| line.starts_with("    ")).map(numbers).collect();
    assert!(!rows.is_empty());
    for row in rows {
        let page_s = row[0].to_string();
        let settings = Settings::read(|name| (name == "INTERCOM_PAGE_TIMEOUT_S").then(|| page_s.clone())).unwrap();
        assert_eq!(row[1..], [settings.scroll_timeout().as_secs(), settings.pages_visibility().as_secs()], "{page_s}");
    }
}

#[test]
fn only_scroll_may_call_itself() {
    let template = read("template.yaml");
    let (before, after) = template.split_once("RecursiveLoop: Allow").unwrap();
    let resource = |line: &&str| line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
    assert_eq!(before.lines().rfind(|line| resource(line)), Some("  Scroll:"));
    assert!(!after.contains("RecursiveLoop"));
}

#[test]
fn each_metric_is_on_the_dashboard_and_documented() {
    let watch = read("infra/watch.yaml");
    let shown = watch.split("[\"intercom-bulk\", \"").skip(1).filter_map(|rest| rest.split('"').next());
    let shown: BTreeSet<&str> = shown.collect();
    let told = [
        scroll::ScrollOutcome::default().metrics(),
        submit::SubmitOutcome::default().metrics(),
        check::CheckOutcome::default().metrics(),
    ];
    let told: BTreeSet<&str> = told.iter().flatten().map(|metric| metric.name).collect();
    assert_eq!(shown, told);
    let alarmed = watch.split("Namespace: intercom-bulk\n").skip(1).filter_map(|rest| after(rest, "MetricName: "));
    assert_eq!(
        alarmed.collect::<Vec<_>>(),
        ["RunsNotComplete", "RunsWithErrors", "LeftForNewer", "LongWaits"],
        "each end but `complete` rings, and what waits"
    );
    let operations = read("infra/OPERATIONS.md");
    let missing: Vec<_> = told.iter().filter(|name| !operations.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "infra/OPERATIONS.md does not name {missing:?}");
}

/// Returns the rest of the line after a word.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.split_once(word)?.1.lines().next()
}

#[test]
fn each_queue_accepts_the_largest_message() {
    let template = read("template.yaml");
    let queues = template.matches("Type: AWS::SQS::Queue\n").count();
    assert_eq!(template.matches("MaximumMessageSize: 1048576").count(), queues);
}

/// Functions, roles and the output must mean the same parameter.
#[test]
fn token_parameter_defaults_to_the_stack_s() {
    let template = read("template.yaml");
    let (_, parameter) = template.split_once("  IntercomTokenParameter:\n").unwrap();
    assert_eq!(after(parameter, "Default: "), Some("\"\""), "two stacks of a region would share a name");
    let chosen = "!If [NamesToken, !Ref IntercomTokenParameter, !Sub \"/${AWS::StackName}/token\"]";
    let uses = template.matches("!Ref IntercomTokenParameter").count();
    assert_eq!(template.matches(chosen).count(), 5, "the functions' setting, three roles, and the output");
    assert_eq!(uses, 6, "and the condition");
}

/// Queue messages also invoke scroll, and Lambda's count of invocations includes them.
#[test]
fn missing_tick_raises_an_alarm_during_a_run() {
    let watch = read("infra/watch.yaml");
    for step in ["Scroll", "Check"] {
        let (_, alarm) = watch.split_once(&format!("  {step}SilenceAlarm:\n")).unwrap();
        assert_eq!(after(alarm, "MetricName: "), Some("AsyncEventsReceived"), "{step}");
    }
}

#[test]
fn each_alarm_has_a_documented_remedy() {
    let (watch, operations) = (read("infra/watch.yaml"), read("infra/OPERATIONS.md"));
    let names: Vec<&str> =
        watch.split("AlarmName: !Sub \"${Stack} ").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
    assert_eq!(names.len(), watch.matches("Type: AWS::CloudWatch::Alarm").count());
    for name in names {
        assert!(operations.contains(&format!("**{name}**")), "infra/OPERATIONS.md says nothing on \"{name}\"");
    }
}

#[test]
fn starts_use_the_queue_and_ticks_are_not_kept() {
    let template = read("template.yaml");
    let schedules: Vec<&str> = template.split("Type: AWS::Scheduler::Schedule\n").skip(1).collect();
    assert_eq!(schedules.len(), 2, "the start, and the one to copy");
    for schedule in schedules {
        assert_eq!(after(schedule, "Arn: !GetAtt ").map(|rest| rest.trim_end_matches(',')), Some("Pages.Arn"));
    }
    assert!(!template.contains("OnFailure"), "what scroll is invoked with asynchronously is ticks");
}

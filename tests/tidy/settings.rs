//! Settings: the command's flags, docs/settings.md and template.yaml match `runtime::settings`.

use std::collections::BTreeSet;

use clap::CommandFactory;
use intercom_bulk::runtime::settings::{Range, SETTINGS, Setting, TOKEN, TOKEN_PARAMETER};
use intercom_bulk_cli::command::Arguments;

use crate::source::read;

/// A parameter of template.yaml.
struct Parameter {
    name: String,
    lines: Vec<String>,
}

impl Parameter {
    /// The parameter that sets a setting.
    fn of(setting: &Setting) -> Self {
        let template = read("template.yaml");
        let reference = format!("        {}: !Ref ", setting.name);
        let name = template.lines().find_map(|line| line.strip_prefix(&reference));
        let name = name.unwrap_or_else(|| panic!("template.yaml sets {} by no parameter", setting.name)).to_owned();
        let (_, after) = template.split_once(&format!("\n  {name}:\n")).unwrap();
        let lines = after.lines().take_while(|line| line.starts_with("    "));
        Self { lines: lines.map(|line| line.trim().to_owned()).collect(), name }
    }

    /// The value of a property, without quotes.
    fn property(&self, name: &str) -> Option<String> {
        let value = self.lines.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
        Some(value.replace('"', ""))
    }

    fn allowed(&self) -> Option<Vec<u32>> {
        let list = self.property("AllowedValues")?;
        Some(list.trim_matches(['[', ']']).split(", ").map(|value| value.parse().unwrap()).collect())
    }
}

/// The settings that the template sets from parameters of the same value.
fn with_parameter() -> impl Iterator<Item = &'static Setting> {
    const ALL: &[Setting] = &SETTINGS;
    ALL.iter().filter(|setting| setting.flag.is_some() && **setting != TOKEN)
}

#[test]
fn setting_names_and_flags_are_unique_and_alike() {
    let names: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), SETTINGS.len());
    for setting in SETTINGS.iter().filter(|setting| setting.flag.is_some()) {
        assert_eq!(setting.flag, Some(setting.name.to_lowercase().replace('_', "-").as_str()));
    }
}

#[test]
fn flags_of_the_command_are_settings() {
    let command = Arguments::command();
    let mut seen = BTreeSet::new();
    for subcommand in command.get_subcommands() {
        for argument in subcommand.get_arguments() {
            let Some(name) = argument.get_env().and_then(|name| name.to_str()) else { continue };
            let at = format!("{} {name}", subcommand.get_name());
            let setting = SETTINGS.iter().find(|setting| setting.name == name);
            let setting = setting.unwrap_or_else(|| panic!("{at}: no such setting"));
            let flag = name.to_lowercase().replace('_', "-");
            assert_eq!(argument.get_long(), Some(flag.as_str()), "{at}");
            let defaults: Vec<&str> = argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
            let help = argument.get_help().unwrap().to_string();
            if setting.flag.is_some() {
                seen.insert(name.to_owned());
                assert_eq!(defaults, setting.default.into_iter().collect::<Vec<_>>(), "{at}");
                assert!(help.to_lowercase().starts_with(&setting.help.to_lowercase()), "{at}: {help}");
                assert!(setting.range == Range::Any || help.contains(&setting.range.to_string()), "{at}: {help}");
            } else {
                // `--ledger-table` and `--pages-queue-url` name parts of a stack, which is
                // optional.
                assert!(defaults.is_empty(), "{at}");
            }
        }
    }
    let flags: BTreeSet<String> = SETTINGS.iter().filter(|s| s.flag.is_some()).map(|s| s.name.to_owned()).collect();
    assert_eq!(seen, flags);
}

#[test]
fn docs_have_a_row_for_each_setting() {
    let docs = read("docs/settings.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").map(str::trim).collect()).collect();
    let named: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(named, SETTINGS.map(|setting| setting.name));
    for (row, setting) in rows.iter().zip(&SETTINGS) {
        let name = setting.name;
        // The functions' own settings have no column for the range.
        let (range, default, parameter) = match row[1..] {
            [_, range, default, parameter] => (Some(range), default, Some(parameter)),
            [_, default] => (None, default, None),
            _ => panic!("{name}: {} cells", row.len()),
        };
        match setting.default {
            Some(value) => assert_eq!(default.trim_matches('`'), value, "{name}"),
            None => assert!(default.starts_with("required") || *setting == TOKEN_PARAMETER && default == "–", "{name}"),
        }
        let own = with_parameter().any(|own| own == setting).then(|| Parameter::of(setting));
        if let (Some(own), Some(cell)) = (&own, parameter) {
            assert_eq!(cell.trim_matches('`'), own.name, "{name}");
        }
        let Some(range) = range else { continue };
        // Thousands are separated in prose.
        let range =
            if matches!(setting.range, Range::Whole { .. }) { range.replace(',', "") } else { range.replace('`', "") };
        let numbers: Vec<String> = setting.range.numbers().iter().map(ToString::to_string).collect();
        let (range, template) = range.split_once(" (template: ").map_or((range.as_str(), None), |(a, b)| (a, Some(b)));
        let expected = match setting.range {
            Range::Any => "–".to_owned(),
            Range::Words(words) => words.to_owned(),
            Range::Whole { min, max, .. } => format!("{min} to {max}"),
            Range::DivisorOfAnHour => format!("divides 60: {}", numbers.join(", ")),
        };
        assert_eq!(range, expected, "{name}");
        if let Some(list) = template {
            let list = list.trim_end_matches(')').split(' ').map(|value| value.parse().unwrap()).collect::<Vec<u32>>();
            assert_eq!(own.and_then(|own| own.allowed()), Some(list), "{name}");
        }
    }
}

#[test]
fn template_parameters_have_the_settings_defaults_and_ranges() {
    for setting in with_parameter() {
        let parameter = Parameter::of(setting);
        let name = setting.name;
        assert_eq!(parameter.property("Default").as_deref(), setting.default, "{name}");
        match (setting.range, parameter.allowed()) {
            (Range::Any | Range::Words(_), _) => {}
            (range, Some(allowed)) => assert!(allowed.iter().all(|number| range.holds(*number)), "{name}"),
            (Range::Whole { min, max, .. }, None) => {
                assert_eq!(parameter.property("MinValue"), Some(min.to_string()), "{name}");
                assert_eq!(parameter.property("MaxValue"), Some(max.to_string()), "{name}");
            }
            (Range::DivisorOfAnHour, None) => panic!("{name}: list the values"),
        }
        if setting.range == Range::DivisorOfAnHour {
            assert_eq!(parameter.allowed(), Some(setting.range.numbers()), "{name}");
        }
    }
}

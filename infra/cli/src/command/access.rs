//! The options of the commands that reach a workspace: a flag for each setting, and the folder of its runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, FromArgMatches};
use intercom_bulk::runtime::settings::{Range, SETTINGS, Setting, TOKEN};

/// Access to the workspace.
#[derive(Clone, Debug, Args)]
pub(super) struct Access {
    #[command(flatten)]
    settings: SettingFlags,
    /// Folder of the runs' state [default: .bulk/<workspace> here, or in the nearest parent folder
    /// with a .bulk]
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
}

/// The settings that are flags, too, by their names.
#[derive(Clone)]
struct SettingFlags(BTreeMap<&'static str, String>);

impl Access {
    /// Returns a setting as the functions read it from their environment. An empty one is not set.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        self.settings.0.get(name).filter(|value| !value.is_empty()).cloned()
    }
}

/// Shows the names only, because the token is among the values.
impl std::fmt::Debug for SettingFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(SETTINGS.iter().filter_map(flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = SETTINGS.iter().filter(|setting| setting.flag.is_some());
        let values = flags.filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?.clone())));
        Ok(Self(values.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the flag of a setting.
fn flag(setting: &Setting) -> Option<Arg> {
    let flag = Arg::new(setting.name).long(setting.flag?).env(setting.name).help(help(setting));
    Some(flag.default_value(setting.default).hide_env_values(setting.name == TOKEN.name))
}

/// Returns the help of a setting as a sentence, with its range.
fn help(setting: &Setting) -> String {
    let (first, rest) = setting.help.split_at(1);
    let range = match setting.range {
        Range::Any => String::new(),
        range => format!(" [values: {range}]"),
    };
    format!("{}{rest}{range}", first.to_uppercase())
}

//! `changes`: the old and new values of a run, by user.

mod staying;

use clap::Args;
use intercom_bulk::domain::job::JobId;
use intercom_bulk::domain::patch::{Change, Target};
use intercom_bulk::domain::run::{Run, RunId};
use intercom_bulk::domain::undo::StayingUser;
use intercom_bulk::domain::user::UserId;
use intercom_bulk::ledger::{Ledger, PatchOutcome, SeenPatch};
use serde::Serialize;

use super::CommandError;
use super::bounds::user_id;
use super::completions::runs;
use super::control::run_id;
use super::errors::ended;
use super::ledger_options::{LedgerOptions, RunOptions};
use crate::changed::Changed;
use crate::contact_link::contact_link;
use crate::output;
use crate::spreadsheet::{Spreadsheet, text, value};

/// The headings of `--csv`.
const HEADINGS: [&str; 9] = ["user", "target", "company", "before", "after", "outcome", "generation", "job", "link"];

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk changes [OPTIONS] [RUN]")]
#[command(long_about = "List the old and new values of a run, by user.\n\n\
    The values before are those that the run read. Only changes that Intercom carried out are listed; `--all` adds the \
    others. Each has an outcome:\n\n\
    written: Intercom carried it out\n\
    unsure: the same, unless the user is one of a few of its job that were gone, or changed by something else\n\
    unknown: the answer was lost, or the job has no known end\n\
    open: in an open job\n\
    failed: the user has an error, which `errors` lists\n\
    pending: not sent yet\n\
    not_sent: the run ended before it was sent\n\n\
    `--all` of an undo also lists the values that stay, with the reason: not_written, changed_since, gone or unsure.\n\n\
    A user that a run changed in two generations is listed twice.")]
#[command(
    after_help = "Exit codes: 0 shown, also without a change · 1 there is no run yet, or the ledger cannot be read · 64 wrong \
    usage, or no such run\n\
    Examples: `changes | less`; `changes --all --json`, an object on each line; `changes --csv > changes.csv`"
)]
pub(super) struct Changes {
    /// The run [default: the last]
    #[arg(value_name = "RUN", value_parser = run_id, add = runs())]
    run: Option<RunId>,
    /// Also list changes that failed, are not sent, or whose outcome is not known
    #[arg(long)]
    all: bool,
    /// Only this user (Intercom's id); repeatable
    #[arg(long = "user", value_name = "ID", value_parser = user_id)]
    users: Vec<String>,
    /// Only the first N users
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    most: Option<u64>,
    /// Write CSV (RFC 4180), a row for each value. A missing value and null are empty cells; texts have no
    /// quotes, and an apostrophe before what a spreadsheet would take for a formula
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    from: LedgerOptions,
}

/// The changes of a user, as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    changed: &'a Changed,
    outcome: PatchOutcome,
    generation: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
}

impl Changes {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let Self { run, all, users, most, csv, from } = self;
        let json = from.json;
        let of = RunOptions { name: run.map(|run| run.to_string()), from };
        let ledger = of.from.ledger().await?;
        let run = of.find(&ledger).await?;
        let mut sheet = if csv { Some(Spreadsheet::begin(&HEADINGS)?) } else { None };
        let mut written = Ok(());
        let show = |patch: &SeenPatch| {
            if let Some(sheet) = &mut sheet {
                written = rows(&run, patch).iter().try_for_each(|row| sheet.row(row));
                return written.is_ok();
            }
            show(patch, json);
            output::has_reader()
        };
        let which = Which { all, users, most };
        let mut shown = each(&ledger, &run, &which, show).await?;
        let show = |user: &StayingUser| {
            if let Some(sheet) = &mut sheet {
                written = staying::rows(&run, user).iter().try_for_each(|row| sheet.row(row));
                return written.is_ok();
            }
            staying::show(user, json);
            output::has_reader()
        };
        shown += staying::each(&ledger, &run, &which, shown, show).await?;
        if let Some(sheet) = sheet {
            ended(written.and_then(|()| sheet.end()))?;
        } else if shown == 0 && !json {
            let more = if all { "" } else { "; --all lists those that were not carried out" };
            output::line(&format!("Run {} has no such change{more}.", run.id));
        }
        Ok(0)
    }
}

/// The patches to list.
struct Which {
    all: bool,
    users: Vec<String>,
    most: Option<u64>,
}

impl Which {
    fn has(&self, user: &UserId) -> bool {
        self.users.is_empty() || self.users.iter().any(|named| named == user.as_str())
    }
}

/// Reads the patches to list. `show` returns whether to continue. Returns their number.
async fn each(
    ledger: &Ledger,
    run: &Run,
    which: &Which,
    mut show: impl FnMut(&SeenPatch) -> bool,
) -> Result<u64, CommandError> {
    let most = which.most.unwrap_or(u64::MAX);
    let mut shown = 0;
    let list = |patch: SeenPatch| {
        if !which.has(&patch.patch.user) || !which.all && !patch.outcome.is_carried_out() {
            return true;
        }
        shown += 1;
        show(&patch) && shown < most
    };
    ledger.each_patch(run, which.all, list).await?;
    Ok(shown)
}

/// Prints the changes of a user: a line for each, or one object.
fn show(seen: &SeenPatch, json: bool) {
    let changed = Changed::from(&seen.patch);
    if json {
        let job = seen.job.as_ref().map(JobId::as_str);
        let (outcome, generation) = (seen.outcome, seen.generation);
        return output::json(&Listed { changed: &changed, outcome, generation, job });
    }
    let outcome = match seen.outcome {
        PatchOutcome::Written => String::new(),
        other => format!("  ({})", word(other)),
    };
    changed.words().iter().for_each(|line| output::line(&format!("{}{outcome}", line.trim_start())));
}

/// Returns a row of cells for each change of a user.
fn rows(run: &Run, SeenPatch { generation, job, patch, outcome }: &SeenPatch) -> Vec<[String; 9]> {
    let link = contact_link(run.workspace.as_ref(), patch.user.as_str()).unwrap_or_default();
    let cells = |change: &Change| {
        let company = if let Target::CompanyName(company) = &change.target { company.as_str() } else { "" };
        [
            text(patch.user.as_str()),
            text(&change.target.to_string()),
            text(company),
            value(change.replaced.as_ref()),
            value(Some(&change.new)),
            text(word(*outcome)),
            text(&generation.to_string()),
            text(job.as_ref().map_or("", JobId::as_str)),
            text(&link),
        ]
    };
    patch.changes.iter().map(cells).collect()
}

fn word(outcome: PatchOutcome) -> &'static str {
    outcome.into()
}

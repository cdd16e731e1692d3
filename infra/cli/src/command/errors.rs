//! `errors`: the failed users of a run.

use std::io;

use clap::Args;
use intercom_bulk::domain::run::Run;
use intercom_bulk::ledger::{ErrorRow, Ledger};
use serde_json::json;

use super::CommandError;
use super::ledger_options::RunOptions;
use crate::contact_link::contact_link;
use crate::error_kinds::{self, by_users};
use crate::output::{self, count};
use crate::spreadsheet::{Spreadsheet, text};

/// The headings of `--csv`.
const HEADINGS: [&str; 6] = ["user", "code", "message", "at", "generation", "link"];

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk errors [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 no user failed · 1 there is no run yet, or the ledger cannot be read · 2 users failed · \
    64 wrong usage, or no such run\n\
    Examples: `errors --summary` shows what went wrong; `errors --csv > failed.csv` is for a spreadsheet"
)]
pub(super) struct Errors {
    #[command(flatten)]
    of: RunOptions,
    /// Only the number of users by code, most frequent first, with one user and message as example
    #[arg(long)]
    summary: bool,
    /// Write CSV (RFC 4180) with a link to each user in Intercom. A cell that a spreadsheet would take for a
    /// formula begins with an apostrophe
    #[arg(long, conflicts_with_all = ["json", "summary"])]
    csv: bool,
}

impl Errors {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let ledger = self.of.from.ledger().await?;
        let run = self.of.find(&ledger).await?;
        let has_errors = if self.summary {
            self.sums(&ledger, &run).await?
        } else if self.csv {
            Self::rows(&ledger, &run).await?
        } else {
            self.lines(&ledger, &run).await?
        };
        if !has_errors && !self.of.from.json && !self.csv {
            output::line(&format!("No user of run {} failed.", run.id));
        }
        Ok(if has_errors { 2 } else { 0 })
    }

    /// Prints a line or an object for each error. Returns whether there are any.
    async fn lines(&self, ledger: &Ledger, run: &Run) -> Result<bool, CommandError> {
        let mut has_errors = false;
        let print = |row: ErrorRow| {
            has_errors = true;
            let words = || format!("{}  {}: {} ({})", row.user, row.code, row.message, row.at);
            output::result(self.of.from.json, &row, words);
            output::has_reader()
        };
        ledger.each_error(run, print).await?;
        Ok(has_errors)
    }

    /// Prints the errors by code. Returns whether there are any.
    async fn sums(&self, ledger: &Ledger, run: &Run) -> Result<bool, CommandError> {
        let by_code = error_kinds::read(ledger, run).await?;
        for (code, kind) in by_users(&by_code) {
            let sum = json!({"code": code, "users": kind.users, "example": kind.example, "message": kind.message});
            output::result(self.of.from.json, &sum, || {
                format!("{}  {code}: {} (for example {})", count(kind.users as u64, "user"), kind.message, kind.example)
            });
        }
        Ok(!by_code.is_empty())
    }

    /// Writes the errors as CSV. Returns whether there are any.
    async fn rows(ledger: &Ledger, run: &Run) -> Result<bool, CommandError> {
        let (mut has_errors, mut written) = (false, Ok(()));
        let mut sheet = Spreadsheet::begin(&HEADINGS)?;
        let write = |row: ErrorRow| {
            has_errors = true;
            let link = contact_link(run.workspace.as_ref(), &row.user).unwrap_or_default();
            let generation = row.generation.to_string();
            let texts = [&row.user, &row.code, &row.message, &row.at, &generation, &link];
            written = sheet.row(&texts.map(|cell| text(cell)));
            written.is_ok()
        };
        ledger.each_error(run, write).await?;
        ended(written.and_then(|()| sheet.end()))?;
        Ok(has_errors)
    }
}

/// Returns the end of a written list. A reader that closed it, such as `head`, has all that it wants.
pub(super) fn ended(written: io::Result<()>) -> Result<(), CommandError> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

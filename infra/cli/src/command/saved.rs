//! `run --saved`: the checks of a saved preview, its question, and its changes in the ledger.

use std::path::Path;

use intercom_bulk::domain::api::ApiChoice;
use intercom_bulk::domain::run::{RunId, WorkspaceBinding};
use intercom_bulk::ledger::Ledger;
use intercom_bulk::plan::Plan;
use intercom_bulk_emulator::engine::machine_wall;
use jiff::Timestamp;

use super::CommandError;
use crate::output;
use crate::preview;
use crate::saved::{SavedError, SavedFile};

/// Opens a saved preview, and checks that a run of this plan may write it.
pub(super) fn open(
    path: &Path,
    plan: &Plan,
    token: &WorkspaceBinding,
    choice: &ApiChoice,
) -> Result<SavedFile, SavedError> {
    let file = SavedFile::open(path)?;
    let now = Timestamp::from_millisecond(machine_wall()()).unwrap_or(Timestamp::UNIX_EPOCH);
    file.header.check(plan, token, choice, now)?;
    let warnings = [file.read_by_others(), file.header.other_day(plan, now)];
    warnings.iter().flatten().for_each(|warning| output::note(false, warning));
    Ok(file)
}

/// Shows the preview and its first changes.
pub(super) fn show(file: &mut SavedFile, plan: &Plan, workspace: &str) -> Result<(), SavedError> {
    output::note(false, &format!("Workspace: {workspace}"));
    output::note(false, &format!("Plan: {}, which sets {}", plan.name(), plan.targets().join(", ")));
    output::note(false, &format!("The changes of {}. The first ones:", file.preview().words()));
    for line in preview::changes(&file.pages()?.next()?) {
        output::note(false, &line);
    }
    output::note(false, "Each user is read again, and written only if its values are as in the preview.");
    output::note(false, "Changing an attribute can send messages, start series and call webhooks.");
    Ok(())
}

/// Stores the changes of a preview under the name of the run that writes them, page by page.
pub(super) async fn store(file: &mut SavedFile, ledger: &Ledger, run: &RunId, now_ms: i64) -> Result<(), CommandError> {
    let preview = file.preview();
    let mut pages = file.pages()?;
    for page in 1.. {
        let patches = pages.next()?;
        if patches.is_empty() {
            break;
        }
        ledger.put_approved(run, page, &patches, now_ms).await?;
    }
    Ok(ledger.put_saved(run, &preview, now_ms).await?)
}

//! The file of a saved preview: a line with its plan, API and workspace, a line for each user with its
//! changes, and a last line with their number and a checksum. The lines are JSON.
//!
//! The checksum finds a broken file. It does not prove who wrote the file: a run evaluates each user again, so
//! a changed file can only make it write less.

mod plan;
mod read;
mod write;

use std::path::PathBuf;

use intercom_bulk::domain::api::{ApiChoice, ApiVersion};
use intercom_bulk::domain::run::WorkspaceBinding;
use intercom_bulk::plan::Plan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::WRONG_USAGE;

pub(crate) use plan::PlanParts;
pub(crate) use read::SavedFile;
pub(crate) use write::{NewFile, Written};

/// The version of the file's form.
const FORMAT: u32 = 1;
/// The age from which on a preview is not run, in days. Each user is compared again, so the bound is not about
/// safety: of an older preview many users would only be skipped.
const AGE_MAX_DAYS: i64 = 7;
const DAY_S: i64 = 24 * 3600;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// [`FORMAT`].
    saved_preview: u32,
    /// The name of the plan.
    pub(crate) plan: String,
    /// A digest of each part of the plan.
    parts: PlanParts,
    workspace: WorkspaceBinding,
    api: ApiVersion,
    /// The time of the preview.
    pub(crate) at: Timestamp,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastLine {
    end: End,
}

/// The content of the last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// The users that would change.
    pub(crate) users: u64,
    /// The digest of all lines before, 16 hexadecimal digits.
    pub(crate) digest: String,
}

/// A saved preview that cannot be written, read or run; each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SavedError {
    #[error("cannot read the saved preview {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot save the preview to {path}: {source}. Nothing was read")]
    Create { path: PathBuf, source: std::io::Error },
    #[error("cannot save the preview to {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path} is no saved preview. `intercom-bulk preview PLAN --save FILE` makes one")]
    Other { path: PathBuf },
    #[error(
        "{path} was saved by a newer version of intercom-bulk (form {format}, this version reads {FORMAT}): use that"
    )]
    Newer { path: PathBuf, format: u32 },
    #[error("{path} is broken at line {line}: {what}. Nothing was started: preview again with --save")]
    Broken { path: PathBuf, line: u64, what: &'static str },
    #[error(
        "{path} is cut off: its last line is missing. Nothing was started: copy it again, or preview again with --save"
    )]
    Cut { path: PathBuf },
    #[error("{path} changed while it was read. Nothing was started: run it again")]
    Changing { path: PathBuf },
    #[error(
        "the saved preview is of another plan: {differs}. Nothing was started: take the plan of the preview, or preview again"
    )]
    Plan { differs: String },
    #[error("the saved preview is of {of}, and the access token belongs to {token}. Nothing was started")]
    Workspace { of: WorkspaceBinding, token: WorkspaceBinding },
    #[error(
        "the saved preview read API {of}, in which users may have other ids than in {used}, which this run would use \
         ({reason}). Nothing was started: set INTERCOM_API={of}, or preview again"
    )]
    Api { of: ApiVersion, used: ApiVersion, reason: String },
    #[error(
        "the saved preview is {days} days old, and at most {AGE_MAX_DAYS} are accepted: users change, and those that changed \
         since the preview would be skipped. Nothing was started: preview again"
    )]
    Old { days: i64 },
    #[error("the preview did not see all users, so it is not saved")]
    NotAll,
    #[error("the preview is not saved: Intercom did not say which workspace the access token belongs to")]
    NoWorkspace,
}

impl SavedError {
    /// Returns the exit code: wrong usage if another file, plan or setting corrects it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Write { .. } | Self::NotAll | Self::NoWorkspace => 1,
            _ => WRONG_USAGE,
        }
    }
}

impl Header {
    /// Creates the header of a preview of this plan.
    pub(crate) fn of(plan: &Plan, workspace: WorkspaceBinding, api: ApiVersion, at: Timestamp) -> Self {
        let (parts, at) = (PlanParts::of(plan), Timestamp::from_second(at.as_second()).unwrap_or(at));
        Self { saved_preview: FORMAT, plan: plan.name().to_owned(), parts, workspace, api, at }
    }

    /// Checks that the plan, the workspace of the token and the API of a run are those of the preview, and that
    /// the preview is not old.
    pub(crate) fn check(
        &self,
        plan: &Plan,
        token: &WorkspaceBinding,
        choice: &ApiChoice,
        now: Timestamp,
    ) -> Result<(), SavedError> {
        if self.plan != plan.name() {
            let differs = format!("it is named {}, and the preview's {}", plan.name(), self.plan);
            return Err(SavedError::Plan { differs });
        }
        if let Some(differs) = self.parts.differ_from(&PlanParts::of(plan)) {
            return Err(SavedError::Plan { differs });
        }
        if self.workspace != *token {
            return Err(SavedError::Workspace { of: self.workspace.clone(), token: token.clone() });
        }
        if self.api.api() != choice.version.api() {
            return Err(SavedError::Api { of: self.api, used: choice.version, reason: choice.reason.clone() });
        }
        let days = (now.as_second() - self.at.as_second()) / DAY_S;
        if days >= AGE_MAX_DAYS { Err(SavedError::Old { days }) } else { Ok(()) }
    }

    /// Returns a warning if the plan reads `today` and the preview is of another day.
    pub(crate) fn other_day(&self, plan: &Plan, now: Timestamp) -> Option<String> {
        let day = |at: Timestamp| at.as_second().div_euclid(DAY_S);
        (plan.reads_today() && day(self.at) != day(now)).then(|| {
            format!(
                "Warning: the plan reads `today`, and the preview is of {}: values that differ by that are skipped.",
                self.at
            )
        })
    }
}

#[cfg(test)]
mod tests;

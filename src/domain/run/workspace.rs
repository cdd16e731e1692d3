//! The workspace that a run belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The workspace of a run. Only tokens of this workspace read and write for the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceBinding {
    /// The host of Intercom's API.
    pub host: String,
    /// Intercom's id of the workspace, if reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
}

impl fmt::Display for WorkspaceBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.app_id {
            Some(app_id) => write!(f, "workspace {app_id} at {}", self.host),
            None => write!(f, "a workspace at {}", self.host),
        }
    }
}

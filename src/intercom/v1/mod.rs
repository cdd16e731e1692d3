//! The wire format of Intercom's API 1.x: paths, bodies, answers.

mod answers;
mod refusals;
mod requests;
mod shown;
mod submission;

pub(super) use answers::{count_users, is_list, job_errors, job_state, page, user, workspace_of_users};
pub(super) use refusals::{advice, no_user, page_failure};
pub(super) use requests::{
    get_any_user, get_counts, get_first_users, get_job, get_job_errors, get_page, get_user, post_patches,
};
pub(super) use shown::shows_alike;

/// The most bytes of a scroll's parameter; Intercom's are UUIDs of 36 characters.
const CURSOR_BYTES_MAX: usize = 512;

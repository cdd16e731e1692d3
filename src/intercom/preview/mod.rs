//! The wire format of the bulk jobs of Preview. Its other calls are those of API 2.x.

mod answers;
mod refusals;
mod requests;

pub(super) use answers::job_state;
pub(super) use refusals::advice;
pub(super) use requests::{get_job, put_patches};

//! The answers about bulk jobs, in which API 1.x and Preview are alike.

use serde_json::Value;

use super::transport::body::{UnreadableBody, object};
use crate::domain::api::Submitted;
use crate::domain::job::JobId;

/// Parses a new job, `{"id":"job_…","created_at":…,"state":"…"}`.
pub(super) fn submitted(body: &[u8]) -> Result<Submitted, UnreadableBody> {
    let job = object(body)?;
    let created_at_s = job.get("created_at").and_then(Value::as_i64);
    Ok(Submitted::Job { id: job_id(&job)?, created_at_s })
}

/// Parses `{"id":"job_…","state":"…","tasks":[{"state":"…"}]}`, which must be this job.
pub(super) fn job(body: &[u8], id: &JobId) -> Result<Value, UnreadableBody> {
    let job = object(body)?;
    if job_id(&job)? == *id { Ok(job) } else { Err(UnreadableBody("it is another job's")) }
}

fn job_id(job: &Value) -> Result<JobId, UnreadableBody> {
    let id = job.get("id").and_then(Value::as_str).and_then(JobId::new);
    id.ok_or(UnreadableBody("the job has no usable id"))
}

//! Parsers of the 2xx bodies of bulk jobs.

use serde_json::Value;

use super::super::bulk_jobs;
use super::super::transport::body::UnreadableBody;
use crate::domain::api::JobState;
use crate::domain::job::JobId;

/// Parses `{"id":"job_…","state":"…","tasks":[{"state":"…"}]}`, which must be this job.
pub(in crate::intercom) fn job_state(body: &[u8], id: &JobId) -> Result<JobState, UnreadableBody> {
    Ok(state_of(&bulk_jobs::job(body, id)?))
}

/// Returns the state of the job: "the signal that one or more items were rejected", by Intercom's
/// documentation. Tasks that ended well say less, because a job of 1.x stays `running` for hours after
/// them. Tasks that all ended, one of them with errors, decide before the job does.
fn state_of(job: &Value) -> JobState {
    let tasks = job.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let ends: Vec<Option<JobState>> = tasks.iter().map(end).collect();
    let have_ended = !ends.is_empty() && ends.iter().all(Option::is_some);
    let failed =
        || end(job).into_iter().chain(ends.iter().flatten().copied()).any(|end| end == JobState::CompletedWithErrors);
    match end(job) {
        None if !have_ended => JobState::Open,
        _ if failed() => JobState::CompletedWithErrors,
        Some(_) => JobState::Completed,
        None => JobState::TasksEnded,
    }
}

/// Returns how a job or task ended, if it has.
fn end(job_or_task: &Value) -> Option<JobState> {
    match job_or_task.get("state").and_then(Value::as_str) {
        Some("completed") => Some(JobState::Completed),
        Some("completed_with_errors" | "failed") => Some(JobState::CompletedWithErrors),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::api::Submitted;
    use serde_json::json;

    #[test]
    fn a_job_ends_by_itself_or_with_its_tasks() {
        let id = JobId::new("job_v2_1").unwrap();
        for (job, tasks, state) in [
            ("running", &[][..], JobState::Open),
            ("pending", &["pending"], JobState::Open),
            ("running", &["completed", "running"], JobState::Open),
            ("running", &["completed_with_errors", "running"], JobState::Open),
            ("running", &["completed"], JobState::TasksEnded),
            ("running", &["completed", "completed_with_errors"], JobState::CompletedWithErrors),
            ("completed", &["completed"], JobState::Completed),
            ("completed", &[], JobState::Completed),
            ("completed", &["completed_with_errors"], JobState::CompletedWithErrors),
            ("completed_with_errors", &["completed"], JobState::CompletedWithErrors),
            ("completed_with_errors", &[], JobState::CompletedWithErrors),
            ("failed", &["failed"], JobState::CompletedWithErrors),
            ("stopped", &["unheard_of"], JobState::Open),
        ] {
            let tasks: Vec<Value> = tasks.iter().map(|state| json!({"id": "task_v2_1", "state": state})).collect();
            let body = json!({"id": "job_v2_1", "type": "contacts.bulk.job", "state": job, "tasks": tasks}).to_string();
            assert_eq!(job_state(body.as_bytes(), &id), Ok(state), "{body}");
        }
    }

    #[test]
    fn a_new_job_is_read_and_another_one_is_not() {
        let read = |body: Value| bulk_jobs::submitted(body.to_string().as_bytes());
        let job = JobId::new("job_v2_1").unwrap();
        let made = Submitted::Job { id: job.clone(), created_at_s: Some(1_480_000_000) };
        assert_eq!(read(json!({"id": "job_v2_1", "created_at": 1_480_000_000, "state": "running"})), Ok(made));
        assert_eq!(read(json!({"id": "job_v2_1"})), Ok(Submitted::Job { id: job.clone(), created_at_s: None }));
        for wrong in [json!({}), json!({"id": 5}), json!({"id": "../x"}), json!([])] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(job_state(br#"{"id":"job_v2_2","state":"completed"}"#, &job).is_err());
    }
}

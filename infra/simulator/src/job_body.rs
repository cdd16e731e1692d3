//! JSON of jobs and error feeds (fixtures of the Ruby, Python and PHP clients, an answer of
//! 2016-10).

use serde_json::{Value, json};

use crate::jobs::{CLOSING_S, Failure, Job, Task};
use crate::wire::Refusal;

/// Items in a page of an error feed.
pub(crate) const FEED_PAGE_SIZE: usize = 50;

/// The workspace of a job and the base URL of its links.
pub(crate) struct Site<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) base_url: &'a str,
}

/// Returns the answer to the POST: the job without its tasks.
pub(crate) fn made(job: &Job, site: &Site<'_>, now_ms: i64) -> Value {
    let (updated_at_ms, ended) = last_change(job, now_ms);
    let link = format!("{}/jobs/{}", site.base_url, job.id);
    json!({
        "app_id": site.app_id,
        "id": job.id,
        "created_at": seconds(job.created_at_ms),
        "updated_at": seconds(updated_at_ms),
        "completed_at": ended.then(|| seconds(updated_at_ms)),
        "closing_at": seconds(job.created_at_ms) + CLOSING_S,
        "name": "api_bulk_job",
        "state": job.stage(now_ms).name(),
        "links": {"error": format!("{link}/error"), "self": link},
    })
}

/// Returns the job with its tasks.
pub(crate) fn asked(job: &Job, site: &Site<'_>, now_ms: i64) -> Value {
    let mut body = made(job, site, now_ms);
    body["tasks"] = tasks(job, now_ms);
    body
}

/// Returns the tasks of a job.
pub(crate) fn tasks(job: &Job, now_ms: i64) -> Value {
    let task = |task: &Task| {
        json!({
            "id": task.id,
            "item_count": task.item_count,
            "created_at": seconds(task.created_at_ms),
            "started_at": (now_ms >= task.started_at_ms).then(|| seconds(task.started_at_ms)),
            "completed_at": task.ended(job.fate, now_ms).then(|| seconds(task.due_at_ms)),
            "state": task.stage(job.fate, now_ms).name(),
        })
    };
    job.tasks.iter().map(task).collect()
}

/// Returns one page of a job's error feed, counted from 1.
pub(crate) fn errors(job: &Job, site: &Site<'_>, page: usize, per_page: usize, now_ms: i64) -> Result<Value, Refusal> {
    let failures: Vec<(i64, &Failure)> = job
        .tasks
        .iter()
        .filter(|task| task.ended(job.fate, now_ms))
        .flat_map(|task| task.failures.iter().map(|failure| (task.due_at_ms, failure)))
        .collect();
    if failures.is_empty() {
        return Ok(json!({"app_id": site.app_id, "job_id": job.id, "pages": {}, "items": []}));
    }
    let total_pages = failures.len().div_ceil(per_page);
    let start = page.checked_sub(1).ok_or(Refusal::PageInvalid)?.saturating_mul(per_page);
    let items: Vec<Value> = failures.iter().skip(start).take(per_page).map(|(at, failed)| item(failed, *at)).collect();
    let next = (page < total_pages).then(|| format!("{}/jobs/{}/error?page={}", site.base_url, job.id, page + 1));
    let pages = if total_pages == 1 {
        json!({})
    } else {
        json!({"type": "pages", "page": page, "per_page": per_page, "total_pages": total_pages, "next": next})
    };
    Ok(json!({"type": "job_item.list", "items": items, "pages": pages}))
}

fn item(failure: &Failure, at_ms: i64) -> Value {
    let (_, code, message) = failure.refusal.parts();
    json!({
        "type": "job_item",
        "method": failure.item.method.name(),
        "data_type": "user",
        "data": failure.item.data,
        "updated_at": seconds(at_ms),
        "error": {"code": code, "message": message},
    })
}

/// Returns the time of the job's last change, and whether the change ended the job.
fn last_change(job: &Job, now_ms: i64) -> (i64, bool) {
    if let Some(ends_at_ms) = job.ends_at_ms().filter(|_| job.ended(now_ms)) {
        return (ends_at_ms, true);
    }
    let ended = job.tasks.iter().filter(|task| task.ended(job.fate, now_ms)).map(|task| task.due_at_ms);
    (ended.max().unwrap_or(job.created_at_ms), false)
}

pub(crate) fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

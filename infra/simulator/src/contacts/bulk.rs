//! `PUT /contacts/bulk` of Preview: jobs as in 1.x, without results of their items.

use serde_json::{Map, Value, json};

use crate::bulk::{ITEMS_LIMIT, Item, Method, Submission};
use crate::contacts::fault::{ContactFault, Nth};
use crate::contacts::options::BulkErrors;
use crate::contacts::route::Operation;
use crate::contacts::write::Way;
use crate::contacts::{Contacts, Scene};
use crate::fault::Fault;
use crate::job_body::{seconds, tasks};
use crate::jobs::Job;
use crate::options::Options;
use crate::version::Version;
use crate::wire::{Answer, Refusal};
use crate::workspace::{Call, Workspace};

/// Parses a request.
fn read(body: &[u8]) -> Result<Submission, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::NotJson)?;
    let refused = |code: &'static str, message: &str| Refusal::Other { status: 422, code, message: message.to_owned() };
    let contacts = match body.get("contacts") {
        None | Some(Value::Null) => return Err(refused("field_not_found", "contacts field must be supplied")),
        Some(Value::Array(contacts)) => contacts,
        Some(_) => return Err(refused("type_mismatch", "contacts must be an array")),
    };
    if contacts.is_empty() {
        return Err(refused("parameter_invalid", "contacts must not be empty"));
    }
    if contacts.len() > ITEMS_LIMIT {
        return Err(refused("parameter_invalid", "maximum number of contacts per request is 100"));
    }
    let item = |contact: &Value| {
        let data = contact.as_object().ok_or_else(|| refused("type_mismatch", "each contact must be an object"))?;
        let known = data.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
        let item = known.then(|| Item { method: Method::Put, data: data.clone() });
        item.ok_or_else(|| refused("field_not_found", "contacts must be identified by id"))
    };
    let items = contacts.iter().map(item).collect::<Result<_, _>>()?;
    let job = body.get("job").and_then(|job| job.get("id")).and_then(Value::as_str).map(str::to_owned);
    Ok(Submission { items, job })
}

impl Workspace {
    pub(crate) fn contact_bulk(&mut self, call: &Call<'_>, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let options = scene.options;
        if self.contact_fault(options, ContactFault::CloseBulk(scene.number)) {
            let id = self.jobs.list.last().map_or_else(|| "job_v2_1".to_owned(), |job| job.id.clone());
            return Err(Refusal::JobClosed { id });
        }
        let place = match self.submit(call, options, scene.now_ms, read)? {
            Ok(place) => place,
            Err(answer) => return Ok(answer),
        };
        let job = &mut self.jobs.list[place];
        if !options.faults.iter().any(|fault| matches!(fault, Fault::LateJobObject(_))) {
            job.object_delay_ms = options.contacts.bulk_job_delay_s as i64 * 1000;
        }
        if Contacts::unanswered(options, Nth { operation: Operation::Bulk, number: scene.number }) {
            job.answered = false;
        }
        Ok(Answer::json(202, body(&self.jobs.list[place], call, scene)))
    }

    pub(crate) fn contact_job(&self, id: &str, call: &Call<'_>, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let job = &self.jobs.list[self.jobs.find(id, scene.now_ms)?];
        Ok(Answer::json(200, body(job, call, scene)))
    }

    /// Applies one item.
    pub(crate) fn contact_item(
        &mut self,
        data: &Map<String, Value>,
        options: &Options,
        now_s: i64,
    ) -> Result<(), Refusal> {
        let scene = Scene { options, version: Version::PREVIEW, now_ms: now_s * 1000, number: 0 };
        let id = data.get("id").and_then(Value::as_str).unwrap_or_default();
        self.goes(id, options);
        let outcome =
            self.reachable(id, scene, true).and_then(|id| self.change(id, data, scene, Way::Bulk).map(|()| id));
        let id = outcome.inspect_err(|_| self.contacts.state.refused += 1)?;
        self.contacts.state.written += 1;
        self.after_a_write(id, data, options);
        Ok(())
    }
}

/// Returns the job: with its tasks, and without links to errors.
fn body(job: &Job, call: &Call<'_>, scene: Scene<'_>) -> Value {
    let now_ms = scene.now_ms;
    let mut tasks = tasks(job, now_ms);
    if scene.options.contacts.bulk_errors == BulkErrors::Job {
        let states = tasks.as_array_mut().into_iter().flatten().filter_map(|task| task.get_mut("state"));
        states.filter(|state| *state == "completed_with_errors").for_each(|state| *state = "completed".into());
    }
    let ended_at = job.ends_at_ms().filter(|_| job.ended(now_ms)).map(seconds);
    json!({
        "id": job.id,
        "type": "contacts.bulk.job",
        "state": job.stage(now_ms).name(),
        "created_at": seconds(job.created_at_ms),
        "updated_at": ended_at.unwrap_or_else(|| seconds(job.created_at_ms)),
        "completed_at": ended_at,
        "tasks": tasks,
        "url": format!("{}/contacts/bulk/{}", call.base_url, job.id),
    })
}

//! Writes of users: at once, or as a bulk job whose items are applied when its task is due.

use std::collections::HashSet;

use axum::http::header;
use serde_json::{Map, Value};

use crate::alter;
use crate::bulk::{self, Item, Method, Submission};
use crate::chance::chosen;
use crate::fault::Fault;
use crate::job_body::{self, FEED_PAGE_SIZE, Site};
use crate::jobs::{Failure, Jobs};
use crate::options::Options;
use crate::people::People;
use crate::reads::number;
use crate::upsert;
use crate::user::Id;
use crate::wire::{Answer, RateHeaders, Refusal};
use crate::workspace::{Call, Workspace};

/// Applies all due items, ordered by due time and then by admission.
pub(crate) fn settle(workspace: &mut Workspace, options: &Options, now_ms: i64) {
    while let Some(mut due) = workspace.jobs.take_due(now_ms) {
        let due_at_s = due.at_ms.div_euclid(1000);
        let mut failures = Vec::new();
        for item in std::mem::take(&mut due.items) {
            if let Err(refusal) = workspace.carry_out(&item, options, due_at_s) {
                failures.push(Failure { item, refusal });
            }
        }
        workspace.jobs.done(&due, failures);
        workspace.stamp(due.at_ms);
    }
}

/// Returns the id of the identified user, or the identifier in the data.
fn who(people: &People, data: &Map<String, Value>) -> String {
    if let Ok(Some(id)) = upsert::find(people, data) {
        return id.to_string();
    }
    let known_by = ["id", "user_id", "email"].iter().find_map(|field| data.get(*field)?.as_str());
    known_by.unwrap_or_default().to_owned()
}

impl Workspace {
    fn carry_out(&mut self, item: &Item, options: &Options, now_s: i64) -> Result<(), Refusal> {
        let who = who(&self.people, &item.data);
        for fault in &options.faults {
            self.accident(fault, &who, options).inspect_err(|_| self.counts.fired.note(fault))?;
        }
        match item.method {
            Method::Post => {
                let before = upsert::find(&self.people, &item.data)?.and_then(|id| self.people.shown(id));
                let id = upsert::post(&mut self.people, &item.data, now_s, options)?;
                if let Some(before) = before.filter(|_| options.read_lag_s > 0) {
                    self.lagging.insert(id, ((now_s + options.read_lag_s as i64) * 1000, before));
                }
                self.after_a_write(id, &item.data, options);
                Ok(())
            }
            Method::Delete => upsert::delete(&mut self.people, &item.data),
            Method::Put => self.contact_item(&item.data, options, now_s),
        }
    }

    /// Notes an attribute that was stored otherwise, and lets another program write.
    pub(crate) fn after_a_write(&mut self, id: Id, data: &Map<String, Value>, options: &Options) {
        let Some(written) = data.get("custom_attributes").and_then(Value::as_object) else { return };
        for fault in &options.faults {
            match fault {
                Fault::AlterAttribute { attribute, how }
                    if written.get(attribute).is_some_and(|value| how.of(value).as_ref() != Some(value)) =>
                {
                    self.counts.fired.note(fault);
                }
                Fault::OthersWrite(percent)
                    if chosen(options.seed, "others write", &id.to_string(), *percent)
                        && !self.counts.lives[0].contains(&id) =>
                {
                    let Some(mut user) = self.people.get(id).cloned() else { return };
                    alter::overwrite(&mut user.custom_attributes, written);
                    self.people.put(id, user);
                    self.counts.lives[0].push(id);
                    self.counts.fired.note(fault);
                }
                _ => {}
            }
        }
    }

    /// Applies a fault to an item of this user.
    fn accident(&mut self, fault: &Fault, who: &str, options: &Options) -> Result<(), Refusal> {
        match fault {
            _ if self.cured.contains(who) => Ok(()),
            Fault::RejectUser(id) if id == who => {
                Err(Refusal::Injected { code: "invalid".into(), message: "user invalid".into() })
            }
            Fault::ItemError { percent, code, message } if chosen(options.seed, code, who, *percent) => {
                Err(Refusal::Injected { code: code.clone(), message: message.clone() })
            }
            Fault::ItemLimited(percent)
                if chosen(options.seed, "limited", who, *percent) && self.limited.insert(who.to_owned()) =>
            {
                Err(Refusal::RateLimited { limit: options.rate_limit_per_10s })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn upsert(&mut self, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<Answer, Refusal> {
        let body: Value = serde_json::from_slice(json_body(call)?).map_err(|_| Refusal::NotJson)?;
        let data = body.as_object().filter(|data| upsert::identified(data)).ok_or(Refusal::Unidentified)?;
        let id = upsert::post(&mut self.people, data, now_ms.div_euclid(1000), options)?;
        self.people.shown(id).map(|body| Answer::json(200, body)).ok_or(Refusal::Internal)
    }

    pub(crate) fn bulk(&mut self, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<Answer, Refusal> {
        Ok(match self.submit(call, options, now_ms, bulk::read)? {
            Ok(place) => Answer::json(202, job_body::made(&self.jobs.list[place], &site(call, options), now_ms)),
            Err(answer) => answer,
        })
    }

    /// Stores a bulk request as a job, and returns the job's index, or the answer in its place.
    pub(crate) fn submit(
        &mut self,
        call: &Call<'_>,
        options: &Options,
        now_ms: i64,
        read: fn(&[u8]) -> Result<Submission, Refusal>,
    ) -> Result<Result<usize, Answer>, Refusal> {
        self.counts.bulk_posts += 1;
        let post = self.counts.bulk_posts;
        let limited = || Answer::from(Refusal::RateLimited { limit: options.rate_limit_per_10s });
        if self.counts.fired.strikes(options, &Fault::LimitBulk(post)) {
            return Ok(Err(limited().with_rate_headers(RateHeaders::Spent)));
        }
        if self.counts.fired.strikes(options, &Fault::LimitBulkBare(post)) {
            return Ok(Err(limited().with_rate_headers(RateHeaders::Missing)));
        }
        if self.counts.fired.strikes(options, &Fault::ErrorBulk(post)) {
            return Err(Refusal::Internal);
        }
        let submission = read(json_body(call)?)?;
        self.refused(&submission.items, options)?;
        if let Some(answer) = self.odd_answer(&submission.items, options) {
            return Ok(Err(answer));
        }
        let count = submission.items.len();
        if options.items_first && !self.limit.admit_more(count - 1, options.rate_limit_per_10s) {
            self.counts.over_limit += 1;
            return Ok(Err(limited()));
        }
        let job = submission.job.as_deref();
        let place = self.jobs.submit(submission.items, job, &mut self.rng, options, now_ms)?;
        Jobs::faults_of(place, options).for_each(|fault| self.counts.fired.note(fault));
        self.counts.items += count as u64;
        if options.items_counted && !options.items_first {
            self.limit.charge(count - 1);
        }
        let job = &mut self.jobs.list[place];
        if self.counts.fired.strikes(options, &Fault::LoseBulk(post)) {
            job.answered = job.tasks.len() > 1 && job.answered;
            return Ok(Err(Answer::lost()));
        }
        Ok(Ok(place))
    }

    /// Refuses a request that contains a bad or a poisonous user.
    fn refused(&mut self, items: &[Item], options: &Options) -> Result<(), Refusal> {
        if items.iter().any(|item| self.is_bad(item, options)) {
            return Err(Refusal::BadItem);
        }
        self.poison(items, options).map_or(Ok(()), |status| Err(Refusal::Poison { status }))
    }

    /// Applies the faults of a bulk request and of its items to a request for one user.
    pub(crate) fn mishap(&mut self, items: &[Item], options: &Options) -> Result<(), Refusal> {
        self.refused(items, options)?;
        for (item, fault) in items.iter().flat_map(|item| options.faults.iter().map(move |fault| (item, fault))) {
            let who = who(&self.people, &item.data);
            self.accident(fault, &who, options).inspect_err(|_| self.counts.fired.note(fault))?;
        }
        Ok(())
    }

    /// Returns the status that one of the users causes, and records all users that cause it.
    fn poison(&mut self, items: &[Item], options: &Options) -> Option<u16> {
        let faults = options.faults.iter().filter_map(|fault| match fault {
            Fault::PoisonItem { status, percent } => Some((fault, *status, *percent)),
            _ => None,
        });
        for (fault, status, percent) in faults {
            let ids = items.iter().map(|item| who(&self.people, &item.data));
            let is_poisoned = |id: &String| !self.cured.contains(id) && chosen(options.seed, "poison", id, percent);
            let found: Vec<String> = ids.filter(is_poisoned).collect();
            if !found.is_empty() {
                self.counts.fired.note(fault);
                self.counts.poisoned.extend(found);
                return Some(status);
            }
        }
        None
    }

    /// Returns the answer to a request that contains a user of `posts`.
    fn odd_answer(&self, items: &[Item], options: &Options) -> Option<Answer> {
        if options.quirks.posts.is_empty() {
            return None;
        }
        let ids: HashSet<String> = items.iter().map(|item| who(&self.people, &item.data)).collect();
        let odd = options.quirks.posts.iter().find(|odd| ids.contains(&odd.id))?;
        Some(Answer::json(odd.status, odd.body.clone()))
    }

    fn is_bad(&self, item: &Item, options: &Options) -> bool {
        let is_bad = |fault: &&Fault| match fault {
            Fault::BadItem(percent) => chosen(options.seed, "bad", &who(&self.people, &item.data), *percent),
            _ => false,
        };
        options.faults.iter().find(is_bad).inspect(|fault| self.counts.fired.note(fault)).is_some()
    }

    pub(crate) fn job(&self, id: &str, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<Answer, Refusal> {
        let job = &self.jobs.list[self.jobs.find(id, now_ms)?];
        Ok(Answer::json(200, job_body::asked(job, &site(call, options), now_ms)))
    }

    pub(crate) fn job_errors(
        &self,
        id: &str,
        call: &Call<'_>,
        options: &Options,
        now_ms: i64,
    ) -> Result<Answer, Refusal> {
        let job = &self.jobs.list[self.jobs.find(id, now_ms)?];
        let size =
            options.setting(|fault| if let Fault::FeedPageSize(size) = fault { Some(*size as usize) } else { None });
        if let Some(size) = size {
            self.counts.fired.note(&Fault::FeedPageSize(size as u64));
        }
        let page = number(call, "page", 1)?;
        let per_page = size.unwrap_or(FEED_PAGE_SIZE).max(1);
        job_body::errors(job, &site(call, options), page, per_page, now_ms).map(|body| Answer::json(200, body))
    }
}

fn site<'a>(call: &'a Call<'_>, options: &'a Options) -> Site<'a> {
    Site { app_id: &options.app_id, base_url: &call.base_url }
}

/// Returns the body of a request whose media type is JSON.
pub(crate) fn json_body<'a>(call: &'a Call<'_>) -> Result<&'a [u8], Refusal> {
    let body = call.body.as_ref().ok_or(Refusal::BodyTooLarge)?;
    let content_type = call.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if media_type.is_none_or(|media_type| !media_type.eq_ignore_ascii_case("application/json")) {
        return Err(Refusal::ContentType);
    }
    Ok(body)
}

//! Reads of users: one user, a list, or a count.

use serde_json::{Value, json};

use crate::options::Options;
use crate::user::Id;
use crate::wire::{Answer, Refusal};
use crate::workspace::{Call, Workspace};

/// Default and maximum number of users in a page of the list (documentation of 1.1).
const PER_PAGE: usize = 50;
const PER_PAGE_LIMIT: usize = 60;
/// The list ends here; clients must use the scroll (threads Node client 115, Java client 117).
const LIST_LIMIT: usize = 10_000;

impl Workspace {
    pub(crate) fn user(&self, id: &str, now_ms: i64) -> Result<Answer, Refusal> {
        let body = Id::parse(id).and_then(|id| {
            let now = self.people.shown(id)?;
            let before = self.lagging.get(&id).filter(|(until_ms, _)| now_ms < *until_ms);
            Some(before.map_or(now, |(_, before)| before.clone()))
        });
        body.map(|body| Answer::json(200, body)).ok_or(Refusal::UserNotFound)
    }

    pub(crate) fn users(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (user_id, email) = (call.query.get("user_id"), call.query.get("email"));
        if user_id.is_some() || email.is_some() {
            let found = self.people.find(user_id.map(String::as_str), email.map(String::as_str));
            let body = found.and_then(|id| self.people.shown(id)).ok_or(Refusal::UserNotFound)?;
            return Ok(Answer::json(200, body));
        }
        let page = number(call, "page", 1)?;
        let per_page = number(call, "per_page", PER_PAGE)?.min(PER_PAGE_LIMIT);
        if page.saturating_mul(per_page) > LIST_LIMIT {
            return Err(Refusal::PageLimit);
        }
        let ids = self.people.after(None).skip((page - 1) * per_page).take(per_page);
        let users: Vec<Value> = ids.filter_map(|id| self.people.shown(id)).collect();
        let total_pages = self.people.len().div_ceil(per_page);
        let next =
            (page < total_pages).then(|| format!("{}/users?per_page={per_page}&page={}", call.base_url, page + 1));
        Ok(Answer::json(
            200,
            json!({
                "type": "user.list",
                "total_count": self.people.len(),
                "users": users,
                "pages": {
                    "type": "pages", "page": page, "per_page": per_page, "total_pages": total_pages, "next": next,
                },
            }),
        ))
    }

    pub(crate) fn counted(&self, call: &Call<'_>, options: &Options) -> Answer {
        let users = json!({"count": options.quirks.count.unwrap_or(self.people.len() as u64)});
        let companies = json!({"count": self.people.companies_len()});
        let body = match (call.query.get("type").map(String::as_str), call.query.get("count")) {
            (None, _) => json!({
                "type": "count.hash", "company": companies, "user": users,
                "lead": {"count": 0}, "tag": {"count": 0}, "segment": {"count": 0},
            }),
            (Some("user"), None) => json!({"type": "count", "user": users}),
            (Some("company"), None) => json!({"type": "count", "company": companies}),
            (Some(kind), None) => json!({"type": "count", kind: {"count": 0}}),
            (Some(kind), Some(count)) => json!({"type": "count", kind: {count: []}}),
        };
        Answer::json(200, body)
    }
}

/// Reads a number of at least 1 from the query.
pub(crate) fn number(call: &Call<'_>, name: &str, otherwise: usize) -> Result<usize, Refusal> {
    match call.query.get(name) {
        None => Ok(otherwise),
        Some(text) => text.parse().ok().filter(|number| *number > 0).ok_or(Refusal::PageInvalid),
    }
}

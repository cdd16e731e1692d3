//! `GET /contacts`: the search index, page by page, with a cursor that needs no state.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::chance::mixed;
use crate::contacts::body::Role;
use crate::contacts::fault::{ContactFault, Nth};
use crate::contacts::gone::Gone;
use crate::contacts::options::{ListCursor, ListOrder, Verdict};
use crate::contacts::route::Operation;
use crate::contacts::{Contacts, Scene, contact_of};
use crate::user::{Id, User};
use crate::wire::{Answer, Refusal};
use crate::workspace::{Call, Workspace};

/// Contacts in a page: default and maximum.
const PER_PAGE: usize = 10;
pub(crate) const PER_PAGE_LIMIT: usize = 150;

/// The end of a page: the sort value and the id of its last contact, and the number of the next
/// page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) key: i64,
    pub(crate) id: Id,
    pub(crate) page: usize,
}

impl Cursor {
    pub(crate) fn text(self) -> String {
        STANDARD.encode(json!([self.key, self.id.to_string(), self.page]).to_string())
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        Self::read(text).ok_or_else(bad_cursor)
    }

    fn read(text: &str) -> Option<Self> {
        let decoded = STANDARD.decode(text.trim()).ok()?;
        let parts: Value = serde_json::from_slice(&decoded).ok()?;
        Some(Self {
            key: parts.get(0)?.as_i64()?,
            id: Id::parse(parts.get(1)?.as_str()?)?,
            page: usize::try_from(parts.get(2)?.as_u64()?).ok()?,
        })
    }
}

pub(crate) fn bad_cursor() -> Refusal {
    Refusal::Other {
        status: 400,
        code: "client_error",
        message:
            "Invalid starting_after param. Please try again using a starting_after value from a paginated response"
                .to_owned(),
    }
}

/// Returns the size of a page.
pub(crate) fn per_page(given: Option<usize>, default: usize, larger: Verdict) -> Result<usize, Refusal> {
    match given {
        None => Ok(default),
        Some(0) => Err(Refusal::PageInvalid),
        Some(size) if size <= PER_PAGE_LIMIT => Ok(size),
        Some(_) if larger == Verdict::Accepted => Ok(PER_PAGE_LIMIT),
        Some(_) => Err(Refusal::Other {
            status: 400,
            code: "parameter_invalid",
            message: format!("per_page must be between 1 and {PER_PAGE_LIMIT}"),
        }),
    }
}

fn asked_size(call: &Call<'_>) -> Result<Option<usize>, Refusal> {
    call.query.get("per_page").map(|size| size.parse().map_err(|_| Refusal::PageInvalid)).transpose()
}

impl Workspace {
    pub(crate) fn contact_list(&mut self, call: &Call<'_>, scene: Scene<'_>) -> Result<Answer, Refusal> {
        self.users_change(scene.options, scene.now_ms);
        self.contacts.state.lists += 1;
        let options = &scene.options.contacts;
        let size = per_page(asked_size(call)?, PER_PAGE, options.larger_page)?;
        let asked = call.query.get("starting_after").map(|text| Cursor::parse(text)).transpose()?;
        let page = asked.map_or(1, |cursor| cursor.page);
        if asked.is_some() && self.contact_fault(scene.options, ContactFault::RefuseCursor(scene.number)) {
            return Err(bad_cursor());
        }
        let shifted = asked.is_some() && self.contact_fault(scene.options, ContactFault::ShiftList(scene.number));
        if shifted {
            self.delete_oldest(scene);
        }
        let total = self.indexed_len(scene);
        // A deletion moves the pages by number, but not those after a contact.
        let skipped = usize::from(shifted && options.list_cursor == ListCursor::Contact);
        let mut found = self.listed(scene, asked, size, size + 1 + skipped);
        found.drain(..skipped.min(found.len()));
        let more = found.len() > size && !self.contact_fault(scene.options, ContactFault::EndList(scene.number));
        found.truncate(size);
        let form = scene.form(true);
        let data: Vec<Value> = found
            .iter()
            .filter_map(|(_, id)| self.indexed(*id, scene))
            .map(|(role, id, user)| {
                let people = if role == Role::User { &self.people } else { &self.contacts.leads };
                contact_of(people, role, id, user, form)
            })
            .collect();
        if !Contacts::unanswered(scene.options, Nth { operation: Operation::List, number: scene.number }) {
            self.contacts.listed.extend(found.iter().map(|(_, id)| *id));
            self.contacts.state.listed += found.len() as u64;
        }
        let mut next = found.last().filter(|_| more).map(|(key, id)| Cursor { key: *key, id: *id, page: page + 1 });
        if asked.is_some() && self.contact_fault(scene.options, ContactFault::RepeatCursor(scene.number)) {
            next = asked;
        }
        Ok(Answer::json(
            200,
            json!({
                "type": "list", "data": data, "total_count": total, "pages": pages(page, size, total, next),
            }),
        ))
    }

    /// Deletes the oldest user, whose page was sent.
    fn delete_oldest(&mut self, scene: Scene<'_>) {
        let oldest = self.people.after(None).next();
        if let Some(id) = oldest.filter(|id| self.lose_contact(*id, Gone::Deleted)) {
            self.counts.lives[1].push(id);
            self.stamp(scene.now_ms);
        }
    }

    /// Returns sort value and id of the listed contacts after the cursor.
    fn listed(&self, scene: Scene<'_>, asked: Option<Cursor>, size: usize, most: usize) -> Vec<(i64, Id)> {
        let options = &scene.options.contacts;
        let by_age = options.list_order == ListOrder::Oldest;
        let numbered = options.list_cursor == ListCursor::Page;
        let skip = match asked {
            Some(cursor) if numbered => cursor.page.saturating_sub(1).saturating_mul(size),
            _ => 0,
        };
        let after = asked.map(|cursor| (cursor.key, cursor.id)).filter(|_| !numbered);
        let mut found: Vec<(i64, Id)> = if by_age {
            let ids = self.indexed_ids(scene, after.map(|(_, id)| id), skip.saturating_add(most));
            ids.into_iter().map(|id| (-1, id)).collect()
        } else {
            let ids = self.indexed_ids(scene, None, usize::MAX).into_iter();
            let keyed = ids.map(|id| ((mixed(id.rest() ^ scene.options.seed) >> 1) as i64, id));
            keyed.filter(|place| after.is_none_or(|after| *place > after)).collect()
        };
        found.sort_unstable();
        found.drain(..skip.min(found.len()));
        found.truncate(most);
        found
    }

    /// Returns the ids of the contacts in the index, ascending.
    pub(crate) fn indexed_ids(&self, scene: Scene<'_>, after: Option<Id>, most: usize) -> Vec<Id> {
        let mut ids = self.people.indexed(after, most, scene.now_ms);
        ids.extend(self.contacts.leads.indexed(after, most, scene.now_ms));
        if scene.options.contacts.archived_listed {
            ids.extend(self.contacts.archived.keys().filter(|id| after.is_none_or(|after| **id > after)));
        }
        ids.sort_unstable();
        // A lead that becomes a user, or an archived contact that the index still shows, is one contact.
        ids.dedup();
        ids.truncate(most);
        ids
    }

    fn indexed_len(&self, scene: Scene<'_>) -> usize {
        let archived = self.contacts.archived.keys().filter(|id| {
            let hidden = self.people.at(**id, scene.now_ms).or_else(|| self.contacts.leads.at(**id, scene.now_ms));
            scene.options.contacts.archived_listed && hidden.is_none()
        });
        let archived = archived.count();
        self.people.indexed_len(scene.now_ms) + self.contacts.leads.indexed_len(scene.now_ms) + archived
    }

    /// Returns a contact as in the index.
    pub(crate) fn indexed(&self, id: Id, scene: Scene<'_>) -> Option<(Role, Id, &User)> {
        let user = self.people.at(id, scene.now_ms).map(|user| (Role::User, id, user));
        let lead = || self.contacts.leads.at(id, scene.now_ms).map(|lead| (Role::Lead, id, lead));
        user.or_else(lead).or_else(|| self.contacts.archived.get(&id).map(|(role, user)| (*role, id, user)))
    }
}

/// Returns the `pages` of a list. The last page has no `next`.
pub(crate) fn pages(page: usize, per_page: usize, total: usize, next: Option<Cursor>) -> Value {
    let mut pages =
        json!({"type": "pages", "page": page, "per_page": per_page, "total_pages": total.div_ceil(per_page)});
    if let Some(next) = next {
        pages["next"] = json!({"page": next.page, "starting_after": next.text()});
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_has_the_recorded_form() {
        let text = "Wy0xLCI1ZjIyYzQzZjkxMjU5NmY1MDNiMjA4ZWUiLDJd";
        let cursor = Cursor::parse(text).unwrap();
        assert_eq!((cursor.key, cursor.id.to_string().as_str(), cursor.page), (-1, "5f22c43f912596f503b208ee", 2));
        assert_eq!(cursor.text(), text);
        for bad in ["", "x", "W10=", "Wy0xLCJ4IiwyXQ=="] {
            assert_eq!(Cursor::parse(bad), Err(bad_cursor()), "{bad}");
        }
    }
}

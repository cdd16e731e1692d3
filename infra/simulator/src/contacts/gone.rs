//! Contacts that cannot be reached: archived, deleted, merged or blocked.

use serde_json::json;
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::contacts::Scene;
use crate::contacts::body::Role;
use crate::contacts::options::MergedWrite;
use crate::user::Id;
use crate::version::Version;
use crate::wire::{Answer, Refusal};
use crate::workspace::Workspace;

/// The way in which a contact goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Gone {
    /// It can be restored. Its id is unknown: 404.
    Archived,
    /// 404.
    Deleted,
    /// Another contact took its place: 404 up to 2.15, then 410.
    Merged,
    /// It can be read and not written.
    Blocked,
}

impl Gone {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// Versions whose PUT says "Contact Not Found".
const CONTACT_NOT_FOUND_UNTIL: &str = "2.6";

impl Workspace {
    /// Removes or blocks a contact. Returns whether it existed.
    pub(crate) fn lose_contact(&mut self, id: Id, how: Gone) -> bool {
        let role = if self.contacts.leads.get(id).is_some() { Role::Lead } else { Role::User };
        let home = self.home(id);
        let Some(user) = home.get(id).cloned() else { return false };
        if how == Gone::Blocked {
            return self.contacts.blocked.insert(id);
        }
        home.remove(id);
        match how {
            Gone::Archived => drop(self.contacts.archived.insert(id, (role, user))),
            // Into the oldest user.
            Gone::Merged => {
                let into = self.people.after(None).next();
                self.contacts.merged.extend(into.map(|into| (id, into)));
            }
            Gone::Deleted | Gone::Blocked => {}
        }
        true
    }

    /// Returns the id of a contact that exists, or the refusal of a read or a write.
    pub(crate) fn reachable(&self, id: &str, scene: Scene<'_>, write: bool) -> Result<Id, Refusal> {
        let options = &scene.options.contacts;
        let old = CONTACT_NOT_FOUND_UNTIL.parse().is_ok_and(|until: Version| scene.version <= until);
        let missing = if write && old { "Contact Not Found" } else { "User Not Found" };
        let missing = || Refusal::Other { status: 404, code: "not_found", message: missing.to_owned() };
        let id = Id::parse(id).ok_or_else(missing)?;
        let exists = self.people.get(id).is_some() || self.contacts.leads.get(id).is_some();
        if exists && write && self.contacts.blocked.contains(&id) {
            let message = "User has been blocked and is not restorable".to_owned();
            return Err(Refusal::Other { status: options.blocked_status, code: "not_restorable", message });
        }
        if exists {
            return Ok(id);
        }
        let gone = scene.version >= Version::V2_16 && (!write || options.merged_write == MergedWrite::Gone);
        match self.contacts.merged.get(&id) {
            Some(into) if write && options.merged_write == MergedWrite::Canonical => Ok(*into),
            Some(into) if gone => Err(Refusal::ContactMerged { into: into.to_string() }),
            _ => Err(missing()),
        }
    }

    pub(crate) fn contact_archive(&mut self, id: &str, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let id = self.reachable(id, scene, false)?;
        self.lose_contact(id, Gone::Archived);
        Ok(Answer::json(200, json!({"id": id.to_string(), "object": "contact", "archived": true})))
    }

    pub(crate) fn contact_unarchive(&mut self, id: &str, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let Some(known) = Id::parse(id).filter(|id| self.contacts.archived.contains_key(id)) else {
            let id = self.reachable(id, scene, false)?;
            return Ok(Answer::json(200, json!({"id": id.to_string(), "object": "contact", "archived": false})));
        };
        if let Some((role, user)) = self.contacts.archived.remove(&known) {
            let home = if role == Role::Lead { &mut self.contacts.leads } else { &mut self.people };
            home.put(known, user);
        }
        Ok(Answer::json(200, json!({"id": known.to_string(), "object": "contact", "archived": false})))
    }

    pub(crate) fn contact_delete(&mut self, id: &str, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let id = self.reachable(id, scene, false)?;
        self.lose_contact(id, Gone::Deleted);
        Ok(Answer::json(200, json!({"id": id.to_string(), "object": "contact", "deleted": true})))
    }

    pub(crate) fn contact_block(&mut self, id: &str, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let id = self.reachable(id, scene, false)?;
        self.lose_contact(id, Gone::Blocked);
        Ok(Answer::json(200, json!({"id": id.to_string(), "object": "contact", "blocked": true})))
    }
}

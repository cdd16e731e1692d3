//! API 2.x: the workspace's users as contacts, and its leads.
//!
//! Users are those of 1.x, so a value that one API writes is read by the other. `body` has their
//! form in 2.x. Leads are people of their own: the 1.x side does not list them.

pub(crate) mod attributes;
pub(crate) mod body;
mod bulk;
mod catalogue;
mod choice;
mod create;
pub(crate) mod fault;
pub(crate) mod gone;
pub(crate) mod list;
pub(crate) mod options;
pub(crate) mod route;
mod search;
pub(crate) mod state;
pub(crate) mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use crate::chance::uuid;
use crate::contacts::attributes::Attributes;
use crate::contacts::body::{Form, Role};
pub(crate) use crate::contacts::options::ContactOptions;
use crate::contacts::route::{ContactRoute, Operation};
use crate::options::Options;
use crate::people::People;
use crate::user::{Id, User};
use crate::version::{Family, Version};
use crate::wire::{Answer, Refusal};
use crate::workspace::{Call, Workspace};

/// Leads follow from a seed of their own.
const LEADS_SEED: u64 = 0x001e_ad5e;

/// The part of the workspace that 1.x does not have.
pub(crate) struct Contacts {
    pub(crate) leads: People,
    /// Archived users and leads.
    pub(crate) archived: BTreeMap<Id, (Role, User)>,
    /// Merged contacts, with the contact that each was merged into.
    pub(crate) merged: HashMap<Id, Id>,
    pub(crate) blocked: BTreeSet<Id>,
    pub(crate) attributes: Attributes,
    /// The number of requests of each operation. Faults refer to it.
    requests: BTreeMap<Operation, u64>,
    pub(crate) listed: HashSet<Id>,
    pub(crate) state: state::ContactState,
    rng: SmallRng,
}

/// The inputs of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) options: &'a Options,
    pub(crate) version: Version,
    pub(crate) now_ms: i64,
    /// The number of this request among those of its operation, from 1.
    pub(crate) number: u64,
}

impl<'a> Scene<'a> {
    pub(crate) fn now_s(self) -> i64 {
        self.now_ms.div_euclid(1000)
    }

    /// Returns the form of contacts in this answer.
    pub(crate) fn form(self, indexed: bool) -> Form<'a> {
        Form { version: self.version, indexed, options: &self.options.contacts }
    }
}

impl Contacts {
    pub(crate) fn new(options: &Options, now_ms: i64) -> Self {
        let seed = options.seed ^ LEADS_SEED;
        let mut rng = SmallRng::seed_from_u64(seed);
        let of_leads = Options { users: options.contacts.leads, seed, given: None, ..options.clone() };
        let mut leads = People::new(&of_leads, now_ms.div_euclid(1000));
        for id in leads.after(None).collect::<Vec<_>>() {
            if let Some(mut lead) = leads.get(id).cloned() {
                lead.user_id = Some(uuid(&mut rng, 4, '-').into());
                lead.companies.clear();
                leads.put(id, lead);
            }
        }
        leads.remember(options.contacts.index_lag_s);
        Self {
            leads,
            archived: BTreeMap::new(),
            merged: HashMap::new(),
            blocked: BTreeSet::new(),
            attributes: Attributes::new(&options.contacts, now_ms),
            requests: BTreeMap::new(),
            listed: HashSet::new(),
            state: state::ContactState::default(),
            rng,
        }
    }

    /// Counts a request, and returns its number.
    fn count(&mut self, operation: Operation) -> u64 {
        let count = self.requests.entry(operation).or_default();
        *count += 1;
        *count
    }

    /// Returns an id for a new lead.
    pub(crate) fn lead_id(&mut self) -> String {
        uuid(&mut self.rng, 4, '-')
    }
}

impl Workspace {
    /// Answers a request for a contact's resource.
    pub(crate) fn contact_call(
        &mut self,
        route: ContactRoute<'_>,
        call: &Call<'_>,
        options: &Options,
        version: Version,
        now_ms: i64,
    ) -> Result<Answer, Refusal> {
        let act = |workspace: &mut Self, number| {
            let scene = Scene { options, version, now_ms, number };
            match route {
                ContactRoute::List => workspace.contact_list(call, scene),
                ContactRoute::Read(id) => workspace.contact_read(id, scene),
                ContactRoute::Write(id) => workspace.contact_put(id, call, scene),
                ContactRoute::Create => workspace.contact_create(call, scene),
                ContactRoute::Search => workspace.contact_search(call, scene),
                ContactRoute::Archive(id) => workspace.contact_archive(id, scene),
                ContactRoute::Unarchive(id) => workspace.contact_unarchive(id, scene),
                ContactRoute::Delete(id) => workspace.contact_delete(id, scene),
                ContactRoute::Block(id) => workspace.contact_block(id, scene),
                ContactRoute::Attributes => workspace.attribute_list(call, scene),
                ContactRoute::AddAttribute => workspace.attribute_add(call, scene),
                ContactRoute::ChangeAttribute(id) => workspace.attribute_change(id, call),
                ContactRoute::Bulk => workspace.contact_bulk(call, scene),
                ContactRoute::BulkJob(id) => workspace.contact_job(id, call, scene),
            }
        };
        match route.operation() {
            Some(operation) => self.struck(operation, options, act),
            None => act(self, 0),
        }
    }

    fn contact_read(&mut self, id: &str, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let id = self.reachable(id, scene, false)?;
        let body = self.contact(id, scene.form(false)).ok_or(Refusal::Internal)?;
        Ok(Answer::json(200, body))
    }

    /// Returns a contact as it is now.
    pub(crate) fn contact(&self, id: Id, form: Form<'_>) -> Option<Value> {
        let (people, role) = match self.people.get(id) {
            Some(_) => (&self.people, Role::User),
            None => (&self.contacts.leads, Role::Lead),
        };
        Some(contact_of(people, role, id, people.get(id)?, form))
    }

    /// Returns the contact's people.
    pub(crate) fn home(&mut self, id: Id) -> &mut People {
        if self.contacts.leads.get(id).is_some() { &mut self.contacts.leads } else { &mut self.people }
    }

    /// Gives the changes of this operation their time in the index.
    pub(crate) fn stamp(&mut self, now_ms: i64) {
        self.people.stamp(now_ms);
        self.contacts.leads.stamp(now_ms);
    }

    pub(crate) fn me(options: &Options, version: Version) -> Answer {
        if version.family() == Family::Old {
            let app = json!({"type": "app", "id_code": options.app_id, "name": "Simulated workspace"});
            return Answer::json(200, json!({"type": "admin", "id": "1", "app": app}));
        }
        Answer::json(
            200,
            json!({
                "type": "admin", "id": "1", "email": "admin@example.com", "name": "Ada Admin", "email_verified": true,
                "has_inbox_seat": true, "avatar": {"type": "avatar", "image_url": null},
                "app": {
                    "type": "app", "id_code": options.app_id, "name": "Simulated workspace", "created_at": 1_388_534_400,
                    "secure": false, "identity_verification": false, "timezone": "America/Los_Angeles",
                    "region": options.contacts.region,
                },
            }),
        )
    }
}

/// Returns the contact of a user or lead in this form.
pub(crate) fn contact_of(people: &People, role: Role, id: Id, user: &User, form: Form<'_>) -> Value {
    let mut body = form.contact(people.body_of(id, user), role);
    people.cut_name(id, &mut body);
    body
}

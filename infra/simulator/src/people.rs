//! The workspace's users and companies, and their indexes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::described::Users;
use crate::fault::Fault;
use crate::options::Options;
use crate::past::Past;
use crate::user::{Company, Id, User};
use crate::{born, chance, edit, html};

/// Stands for half a surrogate pair until the answer is written. No generated name contains it.
pub(crate) const HALF: char = '\u{10fffd}';

/// All users in the order of their ids, which is the order of creation.
pub(crate) struct People {
    users: BTreeMap<Id, User>,
    by_user_id: HashMap<Box<str>, Id>,
    by_email: HashMap<Box<str>, Id>,
    companies: Vec<Company>,
    /// The names of all custom attributes ever set: a workspace has at most 250.
    pub(crate) attributes: HashSet<String>,
    app_id: String,
    escape_names: bool,
    /// The seed, and the percentage of users whose names end with half a surrogate pair.
    cut_names: (u64, f64),
    next_number: u32,
    /// Changes that the search index does not show yet.
    past: Past,
    rng: SmallRng,
}

impl People {
    pub(crate) fn new(options: &Options, now_s: i64) -> Self {
        let mut rng = SmallRng::seed_from_u64(options.seed);
        let cut_names =
            options.setting(|fault| if let Fault::CutName(percent) = fault { Some(*percent) } else { None });
        let made = if options.given.is_some() { 0 } else { options.users };
        let companies = born::companies(&mut rng, made);
        let mut people = Self {
            users: BTreeMap::new(),
            by_user_id: HashMap::new(),
            by_email: HashMap::new(),
            companies,
            attributes: HashSet::new(),
            app_id: options.app_id.clone(),
            escape_names: options.quirks.escape_names,
            cut_names: (options.seed, cut_names.unwrap_or_default()),
            next_number: 1,
            past: Past::default(),
            rng,
        };
        for (id, user) in options.given.iter().flat_map(Users::iter) {
            edit::put_given(&mut people, *id, user, now_s);
        }
        for _ in 0..made {
            let created_at = born::birthday_s(&mut people.rng);
            people.born(created_at);
        }
        people
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Starts to record changes for an index that is this far behind.
    pub(crate) fn remember(&mut self, lag_s: u64) {
        self.past = Past::new(lag_s);
    }

    pub(crate) fn stamp(&mut self, now_ms: i64) {
        self.past.stamp(now_ms);
    }

    /// Returns a user as in the index.
    pub(crate) fn at(&self, id: Id, now_ms: i64) -> Option<&User> {
        self.past.shown(id, self.users.get(&id), now_ms)
    }

    /// Returns the first ids after this one in the index, ascending.
    pub(crate) fn indexed(&self, after: Option<Id>, most: usize, now_ms: i64) -> Vec<Id> {
        let shown = |id: &Id| self.at(*id, now_ms).is_some();
        let mut ids: Vec<Id> = self.after(after).filter(shown).take(most).collect();
        let hidden = self.past.ids(after).into_iter().filter(|id| !self.users.contains_key(id));
        ids.extend(hidden.filter(shown));
        ids.sort_unstable();
        ids.truncate(most);
        ids
    }

    pub(crate) fn indexed_len(&self, now_ms: i64) -> usize {
        let (mut gone, mut new) = (0, 0);
        for id in self.past.ids(None) {
            match (self.at(id, now_ms).is_some(), self.users.contains_key(&id)) {
                (true, false) => gone += 1,
                (false, true) => new += 1,
                _ => {}
            }
        }
        self.users.len() + gone - new
    }

    /// Returns a value of a custom attribute.
    pub(crate) fn example(&self, name: &str) -> Option<&Value> {
        let values = self.users.values().filter_map(|user| user.custom_attributes.get(name));
        values.into_iter().find(|value| !value.is_null())
    }

    pub(crate) fn companies_len(&self) -> usize {
        self.companies.len()
    }

    pub(crate) fn get(&self, id: Id) -> Option<&User> {
        self.users.get(&id)
    }

    pub(crate) fn find(&self, user_id: Option<&str>, email: Option<&str>) -> Option<Id> {
        match (user_id, email) {
            (Some(user_id), _) => self.by_user_id.get(user_id).copied(),
            (None, Some(email)) => self.by_email.get(email.to_lowercase().as_str()).copied(),
            (None, None) => None,
        }
    }

    pub(crate) fn body(&self, id: Id) -> Option<Value> {
        self.users.get(&id).map(|user| self.body_of(id, user))
    }

    /// Returns the body of a user in any of its forms.
    pub(crate) fn body_of(&self, id: Id, user: &User) -> Value {
        user.body(id, &self.app_id, &self.companies)
    }

    /// Returns the user as in an answer.
    pub(crate) fn shown(&self, id: Id) -> Option<Value> {
        let mut body = self.body(id)?;
        if self.escape_names {
            html::escape_names(&mut body);
        }
        self.cut_name(id, &mut body);
        Some(body)
    }

    /// Ends the name of some users with half a surrogate pair.
    pub(crate) fn cut_name(&self, id: Id, body: &mut Value) {
        let (seed, percent) = self.cut_names;
        if chance::chosen(seed, "cut name", &id.to_string(), percent)
            && let Some(Value::String(name)) = body.get_mut("name")
        {
            name.push(HALF);
        }
    }

    /// Returns the ids after the given one, or all ids.
    pub(crate) fn after(&self, id: Option<Id>) -> impl Iterator<Item = Id> {
        self.users.range((id.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)).map(|(id, _)| *id)
    }

    /// Returns the ids before the given one in descending order, or all ids.
    pub(crate) fn before(&self, id: Option<Id>) -> impl Iterator<Item = Id> {
        self.users.range((Bound::Unbounded, id.map_or(Bound::Unbounded, Bound::Excluded))).rev().map(|(id, _)| *id)
    }

    /// Returns some companies as in an answer.
    pub(crate) fn companies(&self, from: usize, most: usize) -> Vec<Value> {
        self.companies.iter().skip(from).take(most).map(Company::body).collect()
    }

    /// Adds a generated user.
    pub(crate) fn born(&mut self, created_at: i64) -> Id {
        let number = self.next_number;
        let user = born::user(&mut self.rng, number, self.companies.len(), created_at);
        self.insert(user)
    }

    /// Adds a user and assigns an id.
    pub(crate) fn insert(&mut self, mut user: User) -> Id {
        user.number = self.next_number;
        self.next_number += 1;
        let id = Id::new(user.created_at, self.rng.random());
        self.put(id, user);
        id
    }

    /// Replaces a user and its index entries.
    pub(crate) fn put(&mut self, id: Id, user: User) {
        if !self.remove(id) {
            self.past.note(id, None);
        }
        if let Some(user_id) = &user.user_id {
            self.by_user_id.insert(user_id.clone(), id);
        }
        if let Some(email) = &user.email {
            self.by_email.insert(email.to_lowercase().into(), id);
        }
        for name in user.custom_attributes.keys() {
            if !self.attributes.contains(name) {
                self.attributes.insert(name.clone());
            }
        }
        self.users.insert(id, user);
    }

    pub(crate) fn remove(&mut self, id: Id) -> bool {
        let Some(user) = self.users.remove(&id) else {
            return false;
        };
        self.past.note(id, Some(&user));
        if let Some(user_id) = &user.user_id {
            self.by_user_id.remove(user_id);
        }
        if let Some(email) = &user.email {
            self.by_email.remove(email.to_lowercase().as_str());
        }
        true
    }

    /// Finds or creates a company, and sets its name if one is given.
    pub(crate) fn company(&mut self, company_id: &str, name: Option<&str>, now_s: i64) -> u32 {
        let known = self.companies.iter().position(|company| company.company_id == company_id);
        let place = known.unwrap_or_else(|| {
            let id = Id::new(now_s, self.rng.random());
            let (company_id, name) = (company_id.to_owned(), company_id.to_owned());
            self.companies.push(Company { id, company_id, name });
            self.companies.len() - 1
        });
        if let Some(name) = name {
            name.clone_into(&mut self.companies[place].name);
        }
        place as u32
    }

    /// Changes a user, and sometimes deletes one and adds one. Returns the changed, deleted and
    /// added ids.
    pub(crate) fn live(&mut self, now_s: i64) -> [Vec<Id>; 3] {
        let [mut changed, mut deleted, mut added] = [const { Vec::new() }; 3];
        for _ in 0..2 {
            let Some(id) = self.anybody() else { break };
            let Some(mut user) = self.users.get(&id).cloned() else {
                break;
            };
            born::change(&mut self.rng, &mut user, now_s);
            self.put(id, user);
            changed.push(id);
        }
        if self.rng.random_ratio(1, 2)
            && let Some(id) = self.anybody()
        {
            self.remove(id);
            deleted.push(id);
        }
        if self.rng.random_ratio(1, 2) {
            added.push(self.born(now_s));
        }
        [changed, deleted, added]
    }

    fn anybody(&mut self) -> Option<Id> {
        let from = Id::new(born::birthday_s(&mut self.rng), 0);
        self.after(Some(from)).next().or_else(|| self.after(None).next())
    }
}

//! A walk through the plan's tree that tracks its position, so that every error has a location.

use std::cell::RefCell;

use super::error::{Fault, Instead, Location, PlanError};
use super::node::{Data, Node};
use crate::domain::patch::spell_key;

/// A node and the path to it.
#[derive(Clone)]
pub(super) struct Scanner<'n> {
    file: &'n str,
    key: String,
    pub(super) node: &'n Node,
    /// Mistakes that do not stop reading, so that one attempt shows all of them.
    mistakes: &'n RefCell<Vec<PlanError>>,
    /// True for the copy of a run. An earlier version with fewer rules may have accepted it.
    pub(super) of_run: bool,
}

impl<'n> Scanner<'n> {
    pub(super) fn new(file: &'n str, node: &'n Node, mistakes: &'n RefCell<Vec<PlanError>>, of_run: bool) -> Self {
        Self { file, key: String::new(), node, mistakes, of_run }
    }

    /// Returns the value, or stores the mistake for the final error.
    pub(super) fn keep<T>(&self, read: Result<T, PlanError>) -> Option<T> {
        read.map_err(|mistake| self.mistakes.borrow_mut().push(mistake)).ok()
    }

    /// Returns whether a mistake is stored.
    pub(super) fn has_mistakes(&self) -> bool {
        !self.mistakes.borrow().is_empty()
    }

    pub(super) fn refuse(&self, fault: Fault) -> PlanError {
        let place = Location { file: self.file.to_owned(), line: self.node.line, key: self.key.clone() };
        PlanError::Refused { place: Box::new(place), fault }
    }

    /// Returns the entries of a table.
    pub(super) fn entries(&self, write: &'static str) -> Result<Vec<(&'n str, Self)>, PlanError> {
        let Data::Table(entries) = &self.node.data else { return Err(self.wrong_type(write)) };
        Ok(entries.iter().map(|(name, node)| (name.as_str(), self.below(name, node))).collect())
    }

    /// Returns the items of a list. They have its key.
    pub(super) fn items(&self, write: &'static str) -> Result<Vec<Self>, PlanError> {
        let Data::List(items) = &self.node.data else { return Err(self.wrong_type(write)) };
        Ok(items.iter().map(|node| Self { node, ..self.clone() }).collect())
    }

    /// Returns the entries of a table that may have these keys and no others.
    pub(super) fn known_entries<const N: usize>(
        &self,
        names: [&'static str; N],
        write: &'static str,
    ) -> Result<[Option<Self>; N], PlanError> {
        let mut found = std::array::from_fn(|_| None);
        for (name, entry) in self.entries(write)? {
            let Some(index) = names.iter().position(|known| *known == name) else {
                let instead = Instead::of(name, names.into_iter());
                self.keep::<()>(Err(entry.refuse(Fault::UnknownKey { key: name.to_owned(), instead })));
                continue;
            };
            found[index] = Some(entry);
        }
        Ok(found)
    }

    pub(super) fn text(&self, write: &'static str) -> Result<&'n str, PlanError> {
        match &self.node.data {
            Data::Text(text) => Ok(text),
            _ => Err(self.wrong_type(write)),
        }
    }

    pub(super) fn wrong_type(&self, write: &'static str) -> PlanError {
        self.refuse(Fault::WrongType { found: self.node.kind(), write })
    }

    pub(super) fn missing(&self, key: &'static str, write: &'static str) -> PlanError {
        self.refuse(Fault::Missing { key, write })
    }

    fn below(&self, name: &str, node: &'n Node) -> Self {
        let name = spell_key(name);
        let key = if self.key.is_empty() { name } else { format!("{}.{name}", self.key) };
        Self { file: self.file, key, node, mistakes: self.mistakes, of_run: self.of_run }
    }
}

//! Keys and items: how values become attributes and back.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LedgerError;
use crate::domain::run::{FORMAT, RunId};

/// An item as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Where an item lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

/// A key of these two.
pub fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

impl Key {
    pub(super) fn attributes(&self) -> Item {
        HashMap::from([("pk".to_owned(), s(&self.pk)), ("sk".to_owned(), s(&self.sk))])
    }
}

/// The partition of a run.
pub(super) fn run_pk(run: &RunId) -> String {
    format!("RUN#{run}")
}

pub(super) fn s(text: impl fmt::Display) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

pub(super) fn n(number: impl fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// The item of a value: its fields as attributes, and the key.
pub(super) fn write<T: Serialize>(key: &Key, value: &T) -> Result<Item, LedgerError> {
    let made: Result<Item, _> = serde_dynamo::to_item(value);
    let mut item = made.map_err(|source| LedgerError::Encode { key: key.sk.clone(), source })?;
    item.extend(key.attributes());
    Ok(item)
}

/// The value of an item. One of a newer format is not read: whatever its shape, it means more than this version knows.
pub(super) fn read<T: DeserializeOwned>(item: Item, name: &str) -> Result<T, LedgerError> {
    readable(&item, name)?;
    serde_dynamo::from_item(item).map_err(|source| LedgerError::Decode { key: name.to_owned(), source })
}

/// Refuses an item of a newer format: its attribute `v` says so, whatever kind of item it is. Items without are of format 1.
pub(super) fn readable(item: &Item, name: &str) -> Result<(), LedgerError> {
    let v = item.get("v").and_then(|v| v.as_n().ok()).and_then(|v| v.parse::<u64>().ok());
    match v.filter(|v| *v > u64::from(FORMAT)) {
        Some(v) => Err(LedgerError::Newer { key: name.to_owned(), v }),
        None => Ok(()),
    }
}

/// The condition that an update that reads nothing before must make, with `:format`.
pub(super) const NOT_NEWER: &str = "(attribute_not_exists(v) OR v <= :format)";

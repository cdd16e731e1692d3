//! Keys and items: how values become attributes and back.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LedgerError;
use crate::run::RunId;

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

/// The value of an item.
pub(super) fn read<T: DeserializeOwned>(item: Item, name: &str) -> Result<T, LedgerError> {
    serde_dynamo::from_item(item).map_err(|source| LedgerError::Decode { key: name.to_owned(), source })
}

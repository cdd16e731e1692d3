//! Keys and items: conversion between values and attributes.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LedgerError;
use crate::domain::run::{FORMAT, RunId};

/// An item of the SDK.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

/// Creates a key.
pub fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

impl Key {
    pub(super) fn attributes(&self) -> Item {
        HashMap::from([("pk".to_owned(), s(&self.pk)), ("sk".to_owned(), s(&self.sk))])
    }
}

/// Returns the partition key of a run.
pub(super) fn run_pk(run: &RunId) -> String {
    format!("RUN#{run}")
}

pub(super) fn s(text: impl fmt::Display) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

pub(super) fn n(number: impl fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Converts a value and its key to an item.
pub(super) fn item<T: Serialize>(key: &Key, value: &T) -> Result<Item, LedgerError> {
    let made: Result<Item, _> = serde_dynamo::to_item(value);
    let mut item = made.map_err(|source| LedgerError::Encode { key: key.sk.clone(), source })?;
    item.extend(key.attributes());
    Ok(item)
}

/// Converts a value to an attribute. `name` names the item in an error.
pub(super) fn attribute(value: impl Serialize, name: impl fmt::Display) -> Result<AttributeValue, LedgerError> {
    serde_dynamo::to_attribute_value(value).map_err(|source| LedgerError::Encode { key: name.to_string(), source })
}

/// Returns a number from the attributes that a write returned.
pub(super) fn number<T: std::str::FromStr>(returned: &Item, name: &str) -> Option<T> {
    returned.get(name)?.as_n().ok()?.parse().ok()
}

/// Returns a text attribute; empty if there is none.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Converts an item to a value. An item of a newer format is an error even if its shape fits,
/// because its meaning may have changed.
pub(super) fn read<T: DeserializeOwned>(item: Item, name: &str) -> Result<T, LedgerError> {
    readable(&item, name)?;
    serde_dynamo::from_item(item).map_err(|source| LedgerError::Decode { key: name.to_owned(), source })
}

/// Returns an error if attribute `v` of the item is a newer format. Items of format 1 have no `v`.
pub(super) fn readable(item: &Item, name: &str) -> Result<(), LedgerError> {
    let v = item.get("v").and_then(|v| v.as_n().ok()).and_then(|v| v.parse::<u64>().ok());
    match v.filter(|v| *v > u64::from(FORMAT)) {
        Some(v) => Err(LedgerError::Newer { key: name.to_owned(), v }),
        None => Ok(()),
    }
}

/// Condition of an update that does not read the item first. It needs the value `:format`.
pub(super) const NOT_NEWER: &str = "(attribute_not_exists(v) OR v <= :format)";

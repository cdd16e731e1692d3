//! Reads of a partition, page by page.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes::{Item, s};
use super::write::names_of;
use super::{Ledger, LedgerError};

/// Items per request that are read whole; an item has some hundred bytes. The bound is needed:
/// DynamoDB's own of 1 MB is several times that in memory, and the emulated table has none.
const WHOLE_ITEMS: usize = 500;
/// Items per request of which some attributes are read.
const CUT_ITEMS: usize = 3_000;

/// The sort keys of the items to read, and their order.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// Those with a prefix, in order; all if it is empty.
    Prefix(String),
    /// Those from the first key to the second, in order.
    Between(String, String),
    /// Those before a key, the last one first.
    LastBefore(String),
}

/// A read of items of a partition. In its expressions `#name` stands for the attribute `name`, which
/// may be a reserved word.
#[derive(Clone, Debug)]
pub(super) struct Select {
    pub(super) pk: String,
    pub(super) keys: Keys,
    pub(super) consistent: bool,
    /// The attributes to read; `None` for all.
    pub(super) attributes: Option<&'static str>,
    /// A condition of the items, with its values.
    pub(super) only: Option<(&'static str, Vec<(&'static str, AttributeValue)>)>,
    /// The most items per request.
    pub(super) items: usize,
}

impl Select {
    /// Reads whole items whose sort keys begin with `prefix`, strongly consistent.
    pub(super) fn new(pk: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::of(pk, Keys::Prefix(prefix.into()))
    }

    /// The same for these sort keys.
    pub(super) fn of(pk: impl Into<String>, keys: Keys) -> Self {
        Self { pk: pk.into(), keys, consistent: true, attributes: None, only: None, items: usize::MAX }
    }
}

impl Ledger {
    /// Reads whole items of a partition whose sort keys begin with `prefix`, page by page.
    pub(super) async fn pages(
        &self,
        pk: &str,
        prefix: &str,
        each: impl FnMut(Vec<Item>) -> Result<bool, LedgerError>,
    ) -> Result<(), LedgerError> {
        self.select(&Select::new(pk, prefix), each).await
    }

    /// Reads items page by page, in order, so that memory stays bounded; `each` returns whether to
    /// continue.
    pub(super) async fn select(
        &self,
        select: &Select,
        mut each: impl FnMut(Vec<Item>) -> Result<bool, LedgerError>,
    ) -> Result<(), LedgerError> {
        let Select { pk, keys, consistent, attributes, only, items } = select;
        let items_max = if attributes.is_some() { CUT_ITEMS } else { WHOLE_ITEMS };
        let mut from = None;
        loop {
            let request = self.client.query().table_name(&self.table).consistent_read(*consistent);
            let request = request.expression_attribute_values(":pk", s(pk));
            let mut request = match keys {
                // DynamoDB accepts no empty value for a key.
                Keys::Prefix(prefix) if prefix.is_empty() => request.key_condition_expression("pk = :pk"),
                Keys::Prefix(prefix) => request
                    .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                    .expression_attribute_values(":sk", s(prefix)),
                Keys::Between(from, to) => request
                    .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                    .expression_attribute_values(":from", s(from))
                    .expression_attribute_values(":to", s(to)),
                Keys::LastBefore(end) => request
                    .key_condition_expression("pk = :pk AND sk < :sk")
                    .expression_attribute_values(":sk", s(end))
                    .scan_index_forward(false),
            };
            let filter = only.as_ref().map(|(condition, _)| *condition);
            for (name, attribute) in [*attributes, filter].into_iter().flatten().flat_map(names_of) {
                request = request.expression_attribute_names(name, attribute);
            }
            for (name, value) in only.iter().flat_map(|(_, values)| values) {
                request = request.expression_attribute_values(*name, value.clone());
            }
            let request = request
                .set_projection_expression(attributes.map(ToOwned::to_owned))
                .set_filter_expression(filter.map(ToOwned::to_owned))
                .limit((*items).clamp(1, items_max) as i32);
            let sent = request.set_exclusive_start_key(from).send().await;
            let page = sent.map_err(|e| LedgerError::call("Query", e))?;
            from = page.last_evaluated_key;
            if !each(page.items.unwrap_or_default())? || from.is_none() {
                return Ok(());
            }
        }
    }
}

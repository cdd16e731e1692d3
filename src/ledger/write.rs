//! Writes: one description of a write to one item, sent alone or in a transaction.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, ReturnValue, TransactWriteItem, Update};

use super::attributes::Item;
use super::error::{condition_failed, conditional};
use super::{Key, Ledger, LedgerError};

/// A write of one item. In its expressions `#name` stands for the attribute `name`, which may be a
/// reserved word.
#[derive(Clone, Debug)]
pub(super) struct Write {
    kind: Kind,
    condition: Option<String>,
    values: HashMap<String, AttributeValue>,
}

#[derive(Clone, Debug)]
enum Kind {
    Put(Item),
    Update { key: Item, expression: String },
    Delete { key: Item },
}

impl Write {
    fn new(kind: Kind) -> Self {
        Self { kind, condition: None, values: HashMap::new() }
    }

    /// Creates a write that replaces the item.
    pub(super) fn put(item: Item) -> Self {
        Self::new(Kind::Put(item))
    }

    /// Creates a write that updates the item by this expression.
    pub(super) fn update(key: &Key, expression: impl Into<String>) -> Self {
        Self::new(Kind::Update { key: key.attributes(), expression: expression.into() })
    }

    /// Creates a write that deletes the item.
    pub(super) fn delete(key: &Key) -> Self {
        Self::new(Kind::Delete { key: key.attributes() })
    }

    /// Adds a condition.
    pub(super) fn when(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    /// Adds a value for a `:name` of the expressions.
    pub(super) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Returns the attributes that the expressions name as `#name`.
    fn names(&self) -> Option<HashMap<String, String>> {
        let update = if let Kind::Update { expression, .. } = &self.kind { expression } else { "" };
        let expressions = [update, self.condition.as_deref().unwrap_or_default()];
        let names: HashMap<String, String> = expressions.into_iter().flat_map(names_of).collect();
        (!names.is_empty()).then_some(names)
    }

    fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    /// Converts the write to a part of a transaction.
    fn in_transaction(self, table: &str) -> Result<TransactWriteItem, LedgerError> {
        let (names, values) = (self.names(), self.values());
        let item = TransactWriteItem::builder();
        Ok(match self.kind {
            Kind::Put(fields) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(fields))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Kind::Update { key, expression } => item.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .update_expression(expression)
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Kind::Delete { key } => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
        }
        .build())
    }
}

/// Returns each `#name` of an expression with its attribute.
pub(super) fn names_of(expression: &str) -> impl Iterator<Item = (String, String)> {
    expression.split('#').skip(1).map(|rest| {
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        (format!("#{name}"), name.to_owned())
    })
}

impl Ledger {
    /// Sends a write. Returns `false` if its condition failed.
    pub(super) async fn send(&self, write: Write) -> Result<bool, LedgerError> {
        Ok(self.send_for(write, None).await?.is_some())
    }

    /// Sends a write. Returns the requested attributes, or `None` if its condition failed.
    pub(super) async fn send_for(
        &self,
        write: Write,
        returned: Option<ReturnValue>,
    ) -> Result<Option<Item>, LedgerError> {
        let (names, values, condition) = (write.names(), write.values(), write.condition);
        let attributes = match write.kind {
            Kind::Put(item) => {
                let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
                let request = request.set_condition_expression(condition).set_return_values(returned);
                let request = request.set_expression_attribute_names(names).set_expression_attribute_values(values);
                conditional("PutItem", request.send().await)?.map(|done| done.attributes)
            }
            Kind::Update { key, expression } => {
                let request = self.client.update_item().table_name(&self.table).set_key(Some(key));
                let request = request.update_expression(expression).set_return_values(returned);
                let request = request.set_condition_expression(condition);
                let request = request.set_expression_attribute_names(names).set_expression_attribute_values(values);
                conditional("UpdateItem", request.send().await)?.map(|done| done.attributes)
            }
            Kind::Delete { key } => {
                let request = self.client.delete_item().table_name(&self.table).set_key(Some(key));
                let request = request.set_condition_expression(condition).set_return_values(returned);
                let request = request.set_expression_attribute_names(names).set_expression_attribute_values(values);
                conditional("DeleteItem", request.send().await)?.map(|done| done.attributes)
            }
        };
        Ok(attributes.map(Option::unwrap_or_default))
    }

    /// Sends one write alone, and several in one transaction. Returns `false` if a condition failed.
    pub(super) async fn send_all(&self, mut writes: Vec<Write>) -> Result<bool, LedgerError> {
        match writes.pop() {
            Some(only) if writes.is_empty() => self.send(only).await,
            last => {
                writes.extend(last);
                self.transact(writes).await
            }
        }
    }

    /// Sends writes in one transaction. If a condition failed, nothing is written, and the result
    /// is `false`.
    pub(super) async fn transact(&self, writes: Vec<Write>) -> Result<bool, LedgerError> {
        let items: Result<Vec<_>, _> = writes.into_iter().map(|write| write.in_transaction(&self.table)).collect();
        match self.client.transact_write_items().set_transact_items(Some(items?)).send().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(condition_failed) => Ok(false),
            Err(e) => Err(LedgerError::call("TransactWriteItems", e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::attributes::{key, n};

    #[test]
    fn names_stand_for_the_attributes_of_both_expressions() {
        let write = Write::update(&key("p", "s"), "SET #users = :users, claim.#owner = :o")
            .when("attribute_not_exists(#end) AND #users <> :users")
            .with(":users", n(1));
        let names = write.names().unwrap_or_default();
        let mut names: Vec<(&str, &str)> = names.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        names.sort_unstable();
        assert_eq!(names, [("#end", "end"), ("#owner", "owner"), ("#users", "users")]);
        assert_eq!(Write::put(Item::new()).when("attribute_not_exists(pk)").names(), None);
    }
}

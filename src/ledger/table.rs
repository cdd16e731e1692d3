//! The table's schema, as template.yaml also declares it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};

use super::LedgerError;

/// The sparse index of open jobs by the time of their next poll.
pub(super) const DUE_INDEX: &str = "due";

/// Creates the table for the local engine; an existing table stays unchanged.
pub async fn create(client: &Client, table: &str) -> Result<(), LedgerError> {
    let index = GlobalSecondaryIndex::builder()
        .index_name(DUE_INDEX)
        .set_key_schema(keys("open", "due_ms"))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build();
    let request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(attributes())
        .set_key_schema(keys("pk", "sk"))
        .global_secondary_indexes(index?);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(e)) if e.err().is_resource_in_use_exception() => Ok(()),
        Err(e) => Err(LedgerError::call("CreateTable", e)),
    }
}

fn keys(hash: &str, range: &str) -> Option<Vec<KeySchemaElement>> {
    let element = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().ok();
    [element(hash, KeyType::Hash), element(range, KeyType::Range)].into_iter().collect()
}

fn attributes() -> Option<Vec<AttributeDefinition>> {
    use ScalarAttributeType::{N, S};
    let define = |(name, kind)| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().ok();
    [("pk", S), ("sk", S), ("open", S), ("due_ms", N)].into_iter().map(define).collect()
}

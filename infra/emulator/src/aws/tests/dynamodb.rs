//! Conditions, transactions, a sparse index, and durability in a file.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, Put, ScalarAttributeType, TransactWriteItem,
};

use crate::aws::Account;

const TABLE: &str = "ledger";

fn s(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn n(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
}

/// Keys `pk` and `sk`, and an index `due` of the items that have a `due` attribute.
async fn create_table(dynamodb: &Client) {
    let index = GlobalSecondaryIndex::builder()
        .index_name("due")
        .key_schema(key("shard", KeyType::Hash))
        .key_schema(key("due", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .unwrap();
    let mut request = dynamodb
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(index);
    for (name, kind) in [
        ("pk", ScalarAttributeType::S),
        ("sk", ScalarAttributeType::S),
        ("shard", ScalarAttributeType::S),
        ("due", ScalarAttributeType::N),
    ] {
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(kind);
        request = request.attribute_definitions(definition.build().unwrap());
    }
    request.send().await.unwrap();
}

fn put(sk: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(TABLE)
        .item("pk", s("run"))
        .item("sk", s(sk))
        .condition_expression("attribute_not_exists(pk)");
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

async fn version(dynamodb: &Client, sk: &str) -> Option<AttributeValue> {
    let get = dynamodb.get_item().table_name(TABLE).key("pk", s("run")).key("sk", s(sk));
    let item = get.consistent_read(true).send().await.unwrap().item?;
    item.get("version").cloned()
}

#[tokio::test]
async fn conditional_write_succeeds_once_and_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("workspace");
    {
        let dynamodb = Account::open(Some(&state)).unwrap().dynamodb;
        create_table(&dynamodb).await;
        let put = dynamodb.put_item().table_name(TABLE).item("pk", s("run")).item("sk", s("cursor"));
        let put = put.item("version", n(1)).condition_expression("attribute_not_exists(pk)");
        put.clone().send().await.unwrap();
        let second = put.send().await.unwrap_err().into_service_error();
        assert!(second.is_conditional_check_failed_exception());

        let update = dynamodb.update_item().table_name(TABLE);
        let update = update.key("pk", s("run")).key("sk", s("cursor"));
        let update = update
            .update_expression("SET version = version + :one")
            .condition_expression("version = :seen")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":seen", n(1));
        update.clone().send().await.unwrap();
        let outdated = update.send().await.unwrap_err().into_service_error();
        assert!(outdated.is_conditional_check_failed_exception());
    }
    let dynamodb = Account::open(Some(&state)).unwrap().dynamodb;
    assert_eq!(version(&dynamodb, "cursor").await, Some(n(2)));
}

#[tokio::test]
async fn transaction_is_atomic_and_names_the_failed_condition() {
    let account = Account::open(None).unwrap();
    let dynamodb = &account.dynamodb;
    create_table(dynamodb).await;
    let write = |items: Vec<TransactWriteItem>, token: &str| {
        let write = dynamodb.transact_write_items().client_request_token(token);
        write.set_transact_items(Some(items)).send()
    };
    write(vec![put("a")], "first").await.unwrap();
    assert!((account.counts.so_far().write_units - 2.0).abs() < 1e-9, "a transaction's write costs double");
    write(vec![put("a")], "first").await.expect("a repeated token is answered as the first time");

    let error = write(vec![put("b"), put("a")], "second").await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        cancelled,
    ) = error
    else {
        panic!("{error:?}");
    };
    let codes: Vec<_> = cancelled.cancellation_reasons().iter().map(|reason| reason.code()).collect();
    assert_eq!(codes, [Some("None"), Some("ConditionalCheckFailed")]);
    let all = dynamodb.scan().table_name(TABLE).send().await.unwrap();
    assert_eq!(all.count, 1, "the first put of a cancelled transaction is not kept");

    let too_many: Vec<_> = (0..101).map(|i| put(&i.to_string())).collect();
    write(too_many, "third").await.expect_err("a transaction has at most 100 actions");
    assert_eq!(account.counts.so_far().calls["TransactWriteItems"], 4);
}

#[tokio::test]
async fn index_contains_only_items_with_its_key() {
    let account = Account::open(None).unwrap();
    create_table(&account.dynamodb).await;
    for (sk, due) in [("job1", Some(30)), ("job2", None), ("job3", Some(10)), ("job4", Some(99))] {
        let put = account.dynamodb.put_item().table_name(TABLE).item("pk", s("run"));
        let mut put = put.item("sk", s(sk)).item("shard", s("0"));
        if let Some(due) = due {
            put = put.item("due", n(due));
        }
        put.send().await.unwrap();
    }
    let due = account.dynamodb.query().table_name(TABLE).index_name("due");
    let due = due
        .key_condition_expression("#shard = :shard AND due <= :now")
        .expression_attribute_names("#shard", "shard") // "shard" is a reserved word
        .expression_attribute_values(":shard", s("0"))
        .expression_attribute_values(":now", n(30));
    let found = due.send().await.unwrap();
    let keys: Vec<_> = found.items().iter().map(|item| item["sk"].as_s().unwrap().as_str()).collect();
    assert_eq!(keys, ["job3", "job1"]);
    assert!(account.counts.so_far().read_units > 0.0);
}

#[tokio::test]
async fn query_by_an_empty_key_is_refused() {
    let account = Account::open(None).unwrap();
    create_table(&account.dynamodb).await;
    let query = |condition: &str| {
        let query = account.dynamodb.query().table_name(TABLE).key_condition_expression(condition);
        query.expression_attribute_values(":pk", s("run"))
    };
    let prefix = query("pk = :pk AND begins_with(sk, :sk)");
    let error = prefix.clone().expression_attribute_values(":sk", s("")).send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("ValidationException"), "{error}");
    prefix.expression_attribute_values(":sk", s("a")).send().await.unwrap();
    query("pk = :pk").send().await.unwrap();
}

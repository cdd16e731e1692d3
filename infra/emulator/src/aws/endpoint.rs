//! The account over HTTP: one address for both services. The target header selects the service.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::connector::{InProcess, Reply, TARGET};
use super::dynamodb::Tables;
use super::sqs::Queues;

/// The media type of both services.
const JSON: &str = "application/x-amz-json-1.0";
/// The largest DynamoDB request, larger than any of SQS. Source: the reference of `BatchWriteItem`.
const MAX_REQUEST_BYTES: usize = 16 << 20;

type Services = (InProcess<Tables>, InProcess<Queues>);

pub(super) fn router(tables: InProcess<Tables>, queues: InProcess<Queues>) -> Router {
    Router::new().route("/", post(answer)).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)).with_state((tables, queues))
}

async fn answer(State((tables, queues)): State<Services>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get(TARGET).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let reply = if target.starts_with("DynamoDB_") {
        tables.answer(target, &body).await
    } else if target.starts_with("AmazonSQS.") {
        queues.answer(target, &body).await
    } else {
        Reply::error(400, "UnknownOperationException", target)
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, JSON)], reply.body).into_response()
}

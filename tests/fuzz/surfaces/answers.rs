//! Answers of Intercom's API. An input has a line with the call and the status, header lines, an
//! empty line, and the body.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use intercom_bulk::domain::api::{Api, ApiVersion, Submitted};
use intercom_bulk::domain::job::{ItemError, JobId};
use intercom_bulk::domain::partial_json::Projection;
use intercom_bulk::domain::patch::{Change, Patch, Target};
use intercom_bulk::domain::redact::{MESSAGE_CHARS_MAX, redact};
use intercom_bulk::domain::run::Position;
use intercom_bulk::domain::user::UserId;
use intercom_bulk::intercom::{
    BaseUrl, CALL_TIMEOUT, Disposition, Error, Intercom, Page, Rate, Reply, Token, Transport, TransportError, advice,
    disposition, item_may_be_sent_again,
};
use intercom_bulk::rate_limit::wait_after_429;
use tokio::runtime::Runtime;

use crate::memory::within;

const ERROR_CHARS_MAX: usize = 2_000;
const RETRY_AFTER_MAX_S: u64 = 3_600;
const CURSOR_BYTES_MAX: usize = 512;

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

pub(crate) fn run(data: &[u8]) {
    let Some((call, response)) = read(data) else { return };
    within((1 << 20) + 160 * data.len(), || RUNTIME.with(|runtime| runtime.block_on(answered(&call, response))));
}

/// Parses the call and its answer.
fn read(data: &[u8]) -> Option<(String, Response<Bytes>)> {
    let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let mut lines = std::str::from_utf8(&data[..end]).ok()?.lines();
    let (call, status) = lines.next()?.split_once(' ')?;
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        response = response.header(name, value.trim());
    }
    let body = data.get(end + 2..).unwrap_or_default();
    Some((call.to_owned(), response.body(Bytes::copy_from_slice(body)).ok()?))
}

async fn answered(call: &str, response: Response<Bytes>) {
    let status = response.status().as_u16();
    let transport = Transport::new(tower::service_fn(move |_: Request<Bytes>| {
        std::future::ready(Ok::<_, TransportError>(response.clone()))
    }));
    let token = Token::new("dG9rOjEyMzQ=".to_owned()).expect("it has the form of a token");
    let base_url = BaseUrl::parse("https://api.intercom.io").expect("Intercom's first host");
    let intercom = Intercom::new(transport, base_url, token, ApiVersion::newest(Api::V1));
    let (user, job) = (UserId::new("5714dd359a3fd47136000001"), JobId::new("job_1"));
    let (user, job) = (user.expect("an id"), job.expect("an id"));
    let timeout = Duration::from_secs(1);
    match call {
        "page" => {
            let whole = &Projection::Whole;
            let (later, first) = (Position::Scroll { param: "c".to_owned() }, Position::First);
            let (first, second) =
                (intercom.page(&later, whole, timeout).await, intercom.page(&first, whole, timeout).await);
            if let (Ok(first), Ok(second)) = (&first, &second) {
                assert_eq!(first, second, "the same answer is another page");
                let ids =
                    intercom.page(&Position::First, &Projection::keys([("id", Projection::Whole)]), timeout).await;
                let ids = ids.expect("what is not kept cannot make an answer unreadable").value;
                let is = |page: &Page| (page.digest, page.next.clone(), page.users.len(), page.unreadable);
                assert_eq!(is(&ids), is(&first.value), "the same answer is another page, of which ids alone are kept");
            }
            told(first, status, page);
        }
        "first_users" => told(intercom.first_users().await, status, page),
        "user" => told(intercom.user(&user, timeout).await, status, |_| {}),
        "submit" => {
            for intercom in [&intercom, &intercom.of_version(ApiVersion::Preview)] {
                told(intercom.submit(&[patch(user.clone())]).await, status, |Submitted::Job { id: job, .. }| {
                    id(job.as_str());
                });
            }
        }
        "job" => {
            told(intercom.job(&job).await, status, |_| {});
            told(intercom.of_version(ApiVersion::Preview).job(&job).await, status, |_| {});
        }
        "errors" => told(intercom.job_errors(&job, 1).await, status, |feed| {
            assert!(!feed.more || !feed.items.is_empty(), "reading on would never end");
            feed.items.iter().for_each(item);
        }),
        "count" => told(intercom.count_users(CALL_TIMEOUT).await, status, |_| {}),
        "workspace" => told(intercom.workspace().await, status, |workspace| {
            id(&workspace.app_id);
            workspace.name.iter().for_each(|name| plain(name, 100));
        }),
        _ => {}
    }
}

fn patch(user: UserId) -> Patch {
    let change = Change { target: Target::Attribute("has avatar".to_owned()), new: true.into(), replaced: None };
    Patch { user, changes: vec![change] }
}

/// Asserts of every call: a value that `good` accepts, or an error with a remedy and no personal
/// data.
fn told<T>(told: Result<Reply<T>, Error>, status: u16, good: impl FnOnce(T)) {
    match told {
        Ok(reply) => {
            rated(reply.rate);
            good(reply.value);
        }
        Err(error) => failed(&error, status),
    }
}

fn failed(error: &Error, status: u16) {
    rated(error.rate());
    let mut text = format!("{error} {error:?} {}", error.code());
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text} {cause}");
        source = cause.source();
    }
    plain(&text, ERROR_CHARS_MAX);
    assert!(!advice(Api::V1, error).is_empty());
    if matches!(status, 200..=299 | 408 | 500..) {
        assert_eq!(disposition(error), Disposition::Ambiguous, "{error}");
    }
    let Error::Refused { retry_after_s, rate, .. } = error else { return };
    for now_s in [i64::MIN, 0, 1_479_981_912, i64::MAX] {
        if let Some(wait_s) = wait_after_429(*retry_after_s, *rate, now_s) {
            assert!((1..=RETRY_AFTER_MAX_S).contains(&wait_s));
        }
    }
}

fn page(page: Page) {
    assert!(page.next.is_none_or(
        |next| matches!(next, Position::Scroll { param } if (1..=CURSOR_BYTES_MAX).contains(&param.len()))
    ));
    for user in &page.users {
        id(user.id().as_str());
        plain(&format!("{user:?}"), 200);
    }
}

fn item(item: &ItemError) {
    plain(&item.code, 64);
    plain(&item.message, MESSAGE_CHARS_MAX);
    assert!(!item.code.is_empty());
    let _ = item_may_be_sent_again(item);
    assert_eq!(redact(&item.message), item.message, "what is masked stays as it is");
}

fn rated(rate: Option<Rate>) {
    let Some(rate) = rate else { return };
    assert!(rate.limit > 0 && rate.remaining <= rate.limit && rate.reset_at_s > 0, "{rate:?}");
}

/// Asserts that an id is safe in a path and a key.
fn id(text: &str) {
    assert!(UserId::new(text).is_some(), "{text}");
}

/// Asserts that a text is safe in a log: short, without an address, without control characters.
fn plain(text: &str, chars_max: usize) {
    assert!(text.chars().count() <= chars_max, "{} characters", text.chars().count());
    assert!(!text.contains('@'), "{text}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

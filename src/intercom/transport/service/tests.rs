//! reqwest's errors against real sockets: reqwest does not document which of them may be retried.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::*;

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Accepts one connection, reads the request's head and calls `answer`; the connection closes after
/// it.
fn serve(answer: impl FnOnce(&mut TcpStream, String) + Send + 'static) -> SocketAddr {
    let (listener, address) = listener();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
            head.push(byte[0]);
        }
        answer(&mut stream, String::from_utf8_lossy(&head).into_owned());
    });
    address
}

fn serve_text(text: &'static str) -> SocketAddr {
    serve(move |stream, _| stream.write_all(text.as_bytes()).unwrap())
}

async fn get(url: String) -> Result<Response<Bytes>, TransportError> {
    get_within(url, Duration::from_secs(5)).await
}

async fn get_within(url: String, connect_timeout: Duration) -> Result<Response<Bytes>, TransportError> {
    let request = Request::builder().uri(url).body(Bytes::new()).unwrap();
    tower::ServiceExt::oneshot(over_https(connect_timeout).unwrap(), request).await
}

fn is_not_sent(result: &Result<Response<Bytes>, TransportError>) -> bool {
    matches!(result, Err(TransportError::NotSent { .. }))
}

fn is_unknown(result: &Result<Response<Bytes>, TransportError>) -> bool {
    matches!(result, Err(TransportError::Unknown { .. }))
}

#[tokio::test]
async fn a_whole_answer_arrives_whole() {
    let address = serve_text("HTTP/1.1 202 Accepted\r\nx-request-id: abc\r\ncontent-length: 5\r\n\r\nhello");
    let response = get(format!("http://{address}/users")).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["x-request-id"]), (202, &"abc".parse().unwrap()));
    assert_eq!(&response.body()[..], b"hello");
}

#[tokio::test]
async fn the_user_agent_names_the_program() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = serve(move |stream, head| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        sender.send(head).unwrap();
    });
    get(format!("http://{address}/users")).await.unwrap();
    let head = receiver.recv().unwrap();
    assert!(head.contains(concat!("user-agent: intercom-bulk/", env!("CARGO_PKG_VERSION"))), "{head}");
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let (listener, address) = listener();
    drop(listener);
    let result = get(format!("http://{address}/users/scroll?scroll_param=s3cret")).await;
    assert!(is_not_sent(&result), "{result:?}");
    assert!(!format!("{result:?}").contains("s3cret"), "{result:?}");
}

/// The handshake is part of connecting: a server that accepts and stays silent never saw the
/// request.
#[tokio::test]
async fn a_connection_that_takes_too_long_was_not_sent() {
    let (_listener, address) = listener();
    let result = get_within(format!("https://{address}/"), Duration::from_millis(150)).await;
    assert!(is_not_sent(&result), "{result:?}");
}

#[tokio::test]
async fn an_unknown_host_was_not_sent() {
    let result = get("https://no-such-host.invalid/".into()).await;
    assert!(is_not_sent(&result), "{result:?}");
}

#[tokio::test]
async fn tls_to_a_port_that_has_none_was_not_sent() {
    let (listener, address) = listener();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 512]);
    });
    let result = get(format!("https://{address}/")).await;
    assert!(is_not_sent(&result), "{result:?}");
}

#[tokio::test]
async fn plain_http_never_leaves_this_machine() {
    let result = get("http://api.intercom.io/users".into()).await;
    assert!(is_not_sent(&result), "{result:?}");
}

#[tokio::test]
async fn a_connection_closed_after_the_request_is_unknown() {
    let result = get(format!("http://{}/", serve(|_, _| ()))).await;
    assert!(is_unknown(&result), "{result:?}");
}

#[tokio::test]
async fn half_an_answer_is_unknown() {
    for half in ["HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "no HTTP at all\r\n\r\n"] {
        let result = get(format!("http://{}/", serve_text(half))).await;
        assert!(is_unknown(&result), "{half}: {result:?}");
    }
}

#[tokio::test]
async fn half_a_refusal_is_a_refusal() {
    let address = serve_text("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\nhalf");
    let response = get(format!("http://{address}/")).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().len()), (429, 0));
    assert_eq!(response.headers()["retry-after"], "7");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, other) = listener();
    let address = serve(move |stream, _| {
        write!(stream, "HTTP/1.1 302 Found\r\nlocation: http://{other}/\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    assert_eq!(get(format!("http://{address}/")).await.unwrap().status(), 302);
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "nobody called the other address");
}

#[tokio::test]
async fn an_endless_body_is_abandoned() {
    let answer = |status: &'static str| {
        serve(move |stream, _| {
            let chunk = vec![b' '; 1 << 20];
            let mut sent = write!(stream, "HTTP/1.1 {status}\r\n\r\n");
            while sent.is_ok() {
                sent = stream.write_all(&chunk); // until the other side closes
            }
        })
    };
    let result = get(format!("http://{}/", answer("200 OK"))).await;
    assert!(is_unknown(&result) && format!("{result:?}").contains("TooLarge"), "{result:.200?}");
    let refusal = get(format!("http://{}/", answer("503 Service Unavailable"))).await.unwrap();
    assert_eq!((refusal.status().as_u16(), refusal.body().len()), (503, 0));
}

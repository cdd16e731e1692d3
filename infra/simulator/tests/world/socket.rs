//! A lost answer over a real socket, from the client's view.

use intercom_simulator::{Options, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn ask(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn lost_answer_closes_the_connection_without_a_byte() {
    let faults = vec!["lose-page=1".parse().unwrap()];
    let world = World::new(Options { faults, users: 10, ..Options::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn({
        let world = world.clone();
        async move { world.serve(listener).await }
    });
    assert_eq!(ask(address, "/users/scroll").await, "");
    let answer = ask(address, "/users/scroll").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("scroll_exists"), "the cursor has moved: {answer}");
    assert!(ask(address, "/users").await.contains(&format!("\"app_id\":\"{}\"", Options::default().app_id)));
    server.abort();
}

//! The message at the end of a run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::world::{World, plan};

/// Serves these answers, one for each request. Returns the address, and the bodies.
fn serve(answers: &'static [&'static str]) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (send, bodies) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while lines.read_line(&mut line).unwrap() > 2 {
                let value = line.to_lowercase().strip_prefix("content-length: ").map(|value| value.trim().to_owned());
                length = value.map_or(length, |value| value.parse().unwrap());
                line.clear();
            }
            let mut body = vec![0; length];
            lines.read_exact(&mut body).unwrap();
            send.send(serde_json::from_slice(&body).unwrap()).unwrap();
            let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
        }
    });
    (address, bodies)
}

#[test]
fn end_of_a_run_is_sent_once_it_is_accepted() {
    let world = World::with(&["--users", "60", "--fault", "item-error=10%:invalid:no"]);
    let people = world.users();
    let (address, bodies) = serve(&["503 Unavailable", "200 OK"]);
    let plan = plan("has-avatar.toml");
    let arguments = ["run", plan.to_str().unwrap(), "--json", "--notify", &format!("{address}/hook/secret")];
    let output = world.call(&arguments);
    let (summary, said): (Value, _) =
        (serde_json::from_slice(&output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.code() == Some(2) && said.is_empty(), "{said}");
    let [first, second] = [bodies.recv().unwrap(), bodies.recv().unwrap()];
    assert_eq!(first, second, "tried again after a 503");
    for key in ["run", "state", "users"] {
        assert_eq!(first[key], summary[key], "{key}: {first}");
    }
    assert_eq!((&first["counts"]["written"], &first["counts"]["failed"]), (&summary["written"], &summary["failed"]));
    let text = first["text"].as_str().unwrap();
    assert!(text.contains(" is complete_with_errors") && text.contains("60 users read, "), "{text}");
    let shown = first.to_string();
    let personal = people.iter().flat_map(|user| ["id", "email", "name"].map(|field| user[field].as_str()));
    assert!(personal.flatten().all(|text| text.len() < 4 || !shown.contains(text)), "{shown}");
}

/// Neither an address that refuses nor a redirect changes the exit code, and no redirect is followed.
#[test]
fn message_that_is_not_sent_is_a_warning() {
    let world = World::with(&["--users", "20"]);
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    let (address, bodies) = serve(&["302 Found\r\nlocation: /other"]);
    for (notify, says) in [
        (format!("{address}/hook/secret"), "127.0.0.1 answered 302 Found"),
        ("https://169.254.169.254/secret".to_owned(), "--notify-private allows it"),
    ] {
        let output = world.call(&["run", plan, "--json", "--notify", &notify]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(0) && said.contains(says), "{said}");
        assert!(said.starts_with("Warning: ") && said.lines().count() == 1 && !said.contains("secret"), "{said}");
    }
    assert_eq!(bodies.iter().count(), 1);
    let refused = world.call(&["run", plan, "--notify", "http://example.com/hook"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(64) && said.contains("only https addresses"), "{said}");
}

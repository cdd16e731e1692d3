//! The functions in this process, behind Lambda's Invoke API, with short waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use http::HeaderMap;
use intercom_bulk::aws::Aws;
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::http::Https;
use intercom_bulk::runtime::clients::Clients;
use intercom_bulk::runtime::config::Pace;
use intercom_bulk::runtime::event::batch_response;
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk::{steps::check, steps::control, steps::scroll, steps::submit};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const NAMES: [&str; 4] = ["scroll", "submit", "check", "control"];

/// The functions, once their environment is known, and their invocation counts.
#[derive(Clone, Default)]
pub(crate) struct Functions {
    /// Each function is a process of its own, with its own clients.
    clients: Arc<Mutex<HashMap<&'static str, Clients>>>,
    pub(crate) invoked: Arc<Mutex<HashMap<String, u64>>>,
}

impl Functions {
    /// Serves the Invoke API, and returns its address.
    pub(crate) async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let path = "/2015-03-31/functions/{name}/invocations";
        let router = Router::new().route(path, post(invoke)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Starts them in this environment.
    pub(crate) fn wake(&self, environment: &HashMap<String, String>) {
        let get = |name: &str| environment.get(name).cloned();
        let https = Https::default();
        let aws = Aws::read(&https, get).unwrap();
        for name in NAMES {
            let (mut clients, _) = Clients::connect(&aws, &https, Clock::of_the_machine(), get).unwrap();
            clients.settings.pace = Pace::LOCAL;
            self.clients.lock().unwrap().insert(name, clients);
        }
    }
}

async fn invoke(State(all): State<Functions>, Path(name): Path<String>, body: String) -> (HeaderMap, String) {
    *all.invoked.lock().unwrap().entry(name.clone()).or_default() += 1;
    let clients = all.clients.lock().unwrap().get(name.as_str()).cloned();
    let done = match clients {
        Some(clients) => run(&clients, &name, &serde_json::from_str(&body).unwrap()).await,
        None => Err("not awake yet".to_owned()),
    };
    let mut headers = HeaderMap::new();
    let answer = done.unwrap_or_else(|error| {
        headers.insert("x-amz-function-error", "Unhandled".parse().unwrap());
        json!({"errorMessage": error})
    });
    (headers, answer.to_string())
}

async fn run(clients: &Clients, name: &str, event: &Value) -> Result<Value, String> {
    let clock = Clock::of_the_machine();
    let request_id = format!("{name}-{}", clock.now_ms());
    let at = Invocation { clock, request_id, deadline_ms: clock.now_ms() + 100_000, stop: None };
    match name {
        "scroll" => {
            let outcome = scroll::handle(clients, event, &at).await.map_err(|error| error.to_string())?;
            Ok(batch_response(&outcome.redeliver))
        }
        "submit" => {
            let outcome = submit::handle(clients, event, &at).await.map_err(|error| error.to_string())?;
            Ok(batch_response(outcome.redeliver))
        }
        "check" => {
            let outcome = check::handle(clients, event, &at).await.map_err(|error| error.to_string())?;
            Ok(serde_json::to_value(outcome).unwrap())
        }
        "control" => {
            let outcome = control::handle(clients, event, &at).await.map_err(|error| error.to_string())?;
            Ok(serde_json::to_value(outcome).unwrap())
        }
        other => Err(format!("no function {other}")),
    }
}

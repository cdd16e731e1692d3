//! `emulate`: AWS for functions in other processes: DynamoDB, SQS, event source mappings,
//! schedules.

mod parameter;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use intercom_bulk::ledger;
use intercom_bulk::runtime::config::Settings;
use intercom_bulk::runtime::settings::{
    LEDGER_TABLE, PAGES_DEAD_LETTERS_URL, PAGES_QUEUE_URL, PATCHES_DEAD_LETTERS_URL, PATCHES_QUEUE_URL, TOKEN,
};
use intercom_simulator::local_hosts_only;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{CommandError, INTERRUPTED};
use crate::output;
use crate::stop::Stops;
use intercom_bulk_emulator::aws::{Account, REGION};
use intercom_bulk_emulator::engine::{EngineError, TABLE, machine_wall};
use intercom_bulk_emulator::private;
use intercom_bulk_emulator::remote::Lambda;
use intercom_bulk_emulator::topology::{Step, Wiring};

#[derive(Debug, Args)]
#[command(after_help = "Example, in two terminals:\n  \
    cargo bulk emulate --lambda http://127.0.0.1:9000 --env-file .bulk/emulate.env\n  \
    cargo lambda watch --ignore-changes --env-file .bulk/emulate.env\n\
    The functions' own settings (INTERCOM_TOKEN, INTERCOM_BASE_URL, …) go into the same file or their environment.\n\
    `sam local start-lambda` takes the same variables from its environment; docs/local-functions.md shows it.\n\
    Exit codes: 1 it cannot listen or write the file · 64 wrong usage · 130 interrupted by Ctrl-C, SIGTERM or SIGHUP, its \
    usual end")]
pub(super) struct Emulate {
    /// Address of the functions scroll, submit and check, by `cargo lambda watch` or
    /// `sam local start-lambda`
    #[arg(long, value_name = "URL")]
    lambda: String,
    /// Address for DynamoDB and SQS; containers reach this machine at their bridge's, usually
    /// 172.17.0.1
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Port for DynamoDB and SQS; 0 selects a free one and prints it
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// Seconds between two ticks of the schedules; the template's are 60
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    tick_s: u64,
    /// Keep the ledger in this folder [default: in memory]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Also serve Parameter Store, and return `INTERCOM_TOKEN` to callers with the access key id of
    /// the variables; functions under SAM read the token there
    #[arg(long)]
    serve_token: bool,
    /// Write the functions' variables to this file, one a line; other lines of the file stay
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Print one JSON object, on standard output, once it listens; the functions' answers are not
    /// shown
    #[arg(long)]
    json: bool,
}

impl Emulate {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let lambda = Lambda::new(&self.lambda).map_err(CommandError::Usage)?;
        let settings = Settings::read(intercom_bulk::runtime::config::environment)?;
        let token = self.token()?;
        let account = Account::open(self.state.as_deref()).map_err(EngineError::from)?;
        ledger::create(&account.dynamodb, TABLE).await?;
        let wiring = Wiring::open(&account.sqs, settings.scroll_timeout(), settings.pages_visibility()).await;
        let wiring = wiring.map_err(EngineError::from)?;
        let at = std::net::SocketAddr::new(self.listen, self.port).to_string();
        let listen = |source| CommandError::Listen { address: at.clone(), source };
        let listener = TcpListener::bind((self.listen, self.port)).await.map_err(listen)?;
        let address = format!("http://{}", listener.local_addr().map_err(listen)?);
        let access_key = self.access_key()?;
        let mut router = account.router();
        if let Some(token) = token {
            router = parameter::with_token(router, &token, access_key.clone());
        }
        let router = local_hosts_only(router);
        tokio::spawn(async move { axum::serve(listener, router).await });
        // A program that waits for the variables may send a signal at once.
        let stops = Stops::listen();
        let variables = variables(&address, &access_key, &wiring);
        if let Some(path) = &self.env_file {
            write(path, &variables).map_err(|source| CommandError::Write { path: path.clone(), source })?;
        }
        if self.json {
            let variables: serde_json::Map<String, Value> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            output::json(&json!({ "address": address, "lambda": self.lambda, "variables": variables }));
        } else {
            for (name, value) in &variables {
                output::line(&format!("{name}={value}"));
            }
        }
        output::note(
            self.json,
            &format!("DynamoDB and SQS answer at {address}; functions are invoked at {}.", self.lambda),
        );
        self.drive(&account, &wiring, lambda, stops).await;
        Ok(INTERRUPTED)
    }

    /// Returns the token for Parameter Store; `None` without `--serve-token`.
    fn token(&self) -> Result<Option<String>, CommandError> {
        if !self.serve_token {
            return Ok(None);
        }
        if self.listen.is_unspecified() {
            let words = format!(
                "--serve-token with --listen {} would offer the token to the network: listen on 127.0.0.1, or on the \
                 address of the containers' bridge",
                self.listen
            );
            return Err(CommandError::Usage(words));
        }
        let token = intercom_bulk::runtime::config::environment(TOKEN.name);
        let words = || CommandError::Usage("--serve-token serves INTERCOM_TOKEN, which is not set".to_owned());
        token.ok_or_else(words).map(Some)
    }

    /// Returns the functions' access key id: that of the variables file if `emulate` generated it.
    fn access_key(&self) -> Result<String, CommandError> {
        let before = self.env_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        if let Some(key) = before.as_deref().and_then(parameter::access_key_of) {
            return Ok(key);
        }
        parameter::access_key().map_err(|error| CommandError::Step(format!("no random access key id: {error}")))
    }

    /// Works until a signal, then finishes running invocations.
    async fn drive(&self, account: &Account, wiring: &Wiring, lambda: Lambda, mut stops: Stops) {
        let quiet = self.json;
        let waits = Arc::new(AtomicBool::new(false));
        let invoke = move |step: Step, event: Value| {
            let (lambda, waits) = (lambda.clone(), Arc::clone(&waits));
            async move {
                let answer = lambda.invoke(step, event).await;
                let silent = matches!(&answer, Err(failed) if !failed.answered);
                let waited = waits.swap(silent, Ordering::Relaxed);
                match &answer {
                    Ok(answer) => output::note(quiet, &format!("{:6} {answer}", step.name())),
                    // Printed once: `emulate` may start before the functions.
                    Err(failed) if silent && !waited => {
                        output::note(false, &format!("Waiting for the functions: {}", failed.words));
                    }
                    Err(_) if silent => {}
                    Err(failed) => output::error(&failed.words),
                }
                answer.map_err(|failed| failed.words)
            }
        };
        let (stop, stopped) = watch::channel(false);
        let tick = Duration::from_secs(self.tick_s);
        let now = Timestamp::from_millisecond(machine_wall()()).unwrap_or(Timestamp::UNIX_EPOCH);
        let driven = wiring.drive(&account.sqs, (tick, tick), now, invoke, stopped);
        tokio::pin!(driven);
        tokio::select! {
            () = &mut driven => return,
            () = stops.next() => {}
        }
        let _ = stop.send(true);
        output::note(false, "Finishing running invocations; Ctrl-C again ends at once.");
        tokio::select! {
            () = &mut driven => {}
            () = stops.next() => {}
        }
    }
}

/// Returns the variables of the functions' environment, with the template's names.
fn variables(address: &str, access_key: &str, wiring: &Wiring) -> Vec<(&'static str, String)> {
    // The emulator's queue URLs contain its internal port.
    let queue = |url: &str| format!("{address}/{}", url.splitn(4, '/').nth(3).unwrap_or_default());
    vec![
        ("AWS_ENDPOINT_URL", address.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", access_key.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        (LEDGER_TABLE.name, TABLE.to_owned()),
        (PAGES_QUEUE_URL.name, queue(&wiring.pages.url)),
        (PAGES_DEAD_LETTERS_URL.name, queue(&wiring.pages.dead_letters)),
        (PATCHES_QUEUE_URL.name, queue(&wiring.patches.url)),
        (PATCHES_DEAD_LETTERS_URL.name, queue(&wiring.patches.dead_letters)),
    ]
}

/// Sets variables in a file of `NAME=value` lines. Only its owner can read it: it may contain a
/// token.
fn write(path: &std::path::Path, variables: &[(&str, String)]) -> std::io::Result<()> {
    let kept = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let ours = |line: &&str| variables.iter().any(|(name, _)| line.split('=').next() == Some(name));
    let mut lines: Vec<String> = kept.lines().filter(|line| !ours(line)).map(ToOwned::to_owned).collect();
    lines.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
    if let Some(folder) = path.parent() {
        private::folder(folder)?;
    }
    private::write(path, &(lines.join("\n") + "\n"))
}

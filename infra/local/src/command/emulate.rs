//! `emulate`: AWS around functions that run elsewhere: DynamoDB, SQS, event source mappings and schedules.

mod parameter;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use intercom_bulk::config::Settings;
use intercom_bulk::ledger;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{CommandError, INTERRUPTED};
use crate::aws::{Account, REGION};
use crate::engine::{EngineError, TABLE, machine_wall};
use crate::remote::Lambda;
use crate::show;
use crate::stop::Stops;
use crate::wiring::{Step, Wiring};

#[derive(Debug, Args)]
#[command(after_help = "Example, in two terminals:\n  \
    cargo lambda watch --ignore-changes --env-file .bulk/emulate.env\n  \
    cargo bulk emulate --lambda http://127.0.0.1:9000 --env-file .bulk/emulate.env\n\
    The functions' own settings (INTERCOM_TOKEN, INTERCOM_BASE_URL, …) go into the same file or their environment.\n\
    `sam local start-lambda` takes the same variables from its environment; README shows it.")]
pub(super) struct Emulate {
    /// Where the functions scroll, submit and check are invoked: `cargo lambda watch`, `sam local start-lambda`, …
    #[arg(long, value_name = "URL")]
    lambda: String,
    /// Where DynamoDB and SQS listen; containers reach this machine at the address of their bridge, 172.17.0.1 as a rule
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Port for DynamoDB and SQS; 0 takes a free one and says which
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// Seconds between two ticks of the schedules; the template's are 60
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    tick_s: u64,
    /// Keep the ledger in this folder [default: in memory]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Be Parameter Store, too, and give whoever asks the token of `INTERCOM_TOKEN`: functions under SAM look for it there
    #[arg(long)]
    serve_token: bool,
    /// Write the variables for the functions to this file, one a line; what else it holds stays
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// One JSON object, on standard output, once it listens; what the functions answer is not shown
    #[arg(long)]
    json: bool,
}

impl Emulate {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let lambda = Lambda::new(&self.lambda).map_err(CommandError::Usage)?;
        let settings = Settings::read(intercom_bulk::config::environment)?;
        let account = Account::open(self.state.as_deref()).map_err(EngineError::from)?;
        ledger::create(&account.dynamodb, TABLE).await?;
        let wiring = Wiring::open(&account.sqs, settings.scroll_timeout(), settings.pages_visibility()).await;
        let wiring = wiring.map_err(EngineError::from)?;
        let listen = |source| CommandError::Listen { port: self.port, source };
        let listener = TcpListener::bind((self.listen, self.port)).await.map_err(listen)?;
        let address = format!("http://{}", listener.local_addr().map_err(listen)?);
        let token = self.serve_token.then(|| intercom_bulk::config::environment("INTERCOM_TOKEN")).flatten();
        if self.serve_token && token.is_none() {
            return Err(CommandError::Usage("--serve-token gives out INTERCOM_TOKEN, which is not set".to_owned()));
        }
        let router = parameter::with_token(account.router(), token);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let variables = variables(&address, &wiring);
        if let Some(path) = &self.env_file {
            write(path, &variables).map_err(|source| CommandError::Write { path: path.clone(), source })?;
        }
        if self.json {
            let variables: serde_json::Map<String, Value> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            show::json(&json!({ "address": address, "lambda": self.lambda, "variables": variables }));
        } else {
            for (name, value) in &variables {
                show::line(&format!("{name}={value}"));
            }
        }
        show::note(
            self.json,
            &format!("DynamoDB and SQS answer at {address}; functions are invoked at {}.", self.lambda),
        );
        self.drive(&account, &wiring, lambda).await;
        Ok(INTERRUPTED)
    }

    /// Works until a signal asks for an end; what runs then is finished first.
    async fn drive(&self, account: &Account, wiring: &Wiring, lambda: Lambda) {
        let quiet = self.json;
        let invoke = move |step: Step, event: Value| {
            let lambda = lambda.clone();
            async move {
                let answer = lambda.invoke(step, event).await;
                match &answer {
                    Ok(answer) => show::note(quiet, &format!("{:6} {answer}", step.name())),
                    Err(error) => show::error(error),
                }
                answer
            }
        };
        let (stop, stopped) = watch::channel(false);
        let tick = Duration::from_secs(self.tick_s);
        let now = Timestamp::from_millisecond(machine_wall()()).unwrap_or(Timestamp::UNIX_EPOCH);
        let driven = wiring.drive(&account.sqs, (tick, tick), now, invoke, stopped);
        tokio::pin!(driven);
        let mut stops = Stops::listen();
        tokio::select! {
            () = &mut driven => return,
            () = stops.next() => {}
        }
        let _ = stop.send(true);
        show::note(false, "Finishing what runs; Ctrl-C again ends at once.");
        tokio::select! {
            () = &mut driven => {}
            () = stops.next() => {}
        }
    }
}

/// What the functions' environment must say, under the names of the template.
fn variables(address: &str, wiring: &Wiring) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", address.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("LEDGER_TABLE", TABLE.to_owned()),
        ("PAGES_QUEUE_URL", wiring.pages.url.clone()),
        ("PAGES_DEAD_LETTERS_URL", wiring.pages.dead_letters.clone()),
        ("PATCHES_QUEUE_URL", wiring.patches.url.clone()),
        ("PATCHES_DEAD_LETTERS_URL", wiring.patches.dead_letters.clone()),
    ]
}

/// Sets variables in a file of `NAME=value` lines.
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
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, lines.join("\n") + "\n")
}

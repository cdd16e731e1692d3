//! `simulate`: a simulated Intercom workspace on a port of this machine.

use std::path::{Path, PathBuf};

use clap::Args;
use intercom_simulator::{Choice, ContactFault, ContactOptions, Described, Fault, Options, World};
use serde_json::json;
use tokio::net::TcpListener;

use super::{CommandError, INTERRUPTED};
use crate::output;
use crate::stop::Stops;

#[derive(Debug, Args)]
#[command(
    after_help = "Any token is valid unless --token names one. GET /_simulator/state and /_simulator/users return\n\
    the workspace's real state, for comparison.\n\
    Exit codes: 1 it cannot listen · 64 wrong usage · 130 interrupted by Ctrl-C, SIGTERM or SIGHUP, its usual end"
)]
pub(super) struct Simulate {
    /// Port on 127.0.0.1; 0 selects a free one and prints it
    #[arg(long, default_value_t = 8787)]
    port: u16,
    #[command(flatten)]
    world: WorldArguments,
    /// JSON file with the workspace's users and quirks, instead of generated users
    #[arg(long = "world", value_name = "FILE", conflicts_with_all = ["users", "seed"])]
    file: Option<PathBuf>,
    /// The only valid token
    #[arg(long)]
    token: Option<String>,
    /// Print one JSON object, on standard output, once it listens
    #[arg(long)]
    json: bool,
}

/// The options of a simulated workspace.
#[derive(Clone, Debug, Args)]
pub(super) struct WorldArguments {
    /// Number of users
    #[arg(long, default_value_t = 2_000)]
    pub(super) users: usize,
    /// Seed of the generated users
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Latency of an answer in milliseconds
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// Operations per 10 seconds; 83 was the limit of 2016, 1667 is a private app's today
    #[arg(long, default_value_t = 1_667)]
    rate_limit_per_10s: u32,
    /// Seconds after which an unused scroll expires
    #[arg(long, default_value_t = 60)]
    scroll_ttl_s: u64,
    /// Duration of a bulk job in seconds
    #[arg(long, default_value_t = 2)]
    job_delay_s: u64,
    #[arg(long = "fault", value_name = "FAULT", long_help = fault_help())]
    /// A fault; repeatable (see --help)
    faults: Vec<Fault>,
    #[arg(long = "option", value_name = "NAME=VALUE", long_help = option_help())]
    /// A choice for behaviour that Intercom does not document; repeatable (see --help)
    choices: Vec<Choice>,
}

fn fault_help() -> String {
    format!("A fault; repeatable:\n{}\nOf API 2.x:\n{}", Fault::NAMES_HELP, ContactFault::NAMES_HELP)
}

fn option_help() -> String {
    let (old, new) = (Choice::NAMES_HELP, ContactOptions::NAMES_HELP);
    format!("A choice for behaviour that Intercom does not document; repeatable:\n{old}\nOf API 2.x:\n{new}")
}

impl WorldArguments {
    pub(super) fn options(&self) -> Options {
        let options = Options {
            users: self.users,
            seed: self.seed,
            latency_ms: self.latency_ms,
            rate_limit_per_10s: self.rate_limit_per_10s,
            scroll_ttl_s: self.scroll_ttl_s,
            job_delay_s: self.job_delay_s,
            faults: self.faults.clone(),
            ..Options::default()
        };
        self.choices.iter().cloned().fold(options, Options::with)
    }
}

/// Listens on a local port.
pub(super) async fn listen(port: u16) -> Result<(TcpListener, String), CommandError> {
    let failed = |source| CommandError::Listen { address: format!("127.0.0.1:{port}"), source };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, format!("http://{address}")))
}

/// Reads a workspace from a file.
fn read(path: &Path) -> Result<Described, CommandError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| CommandError::Usage(format!("cannot read {}: {error}", path.display())))?;
    Described::from_json(&text).map_err(|error| CommandError::Usage(format!("{}: {error}", path.display())))
}

impl Simulate {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let mut options = Options { token: self.token.clone(), ..self.world.options() };
        if let Some(path) = &self.file {
            options = options.described(&read(path)?);
        }
        let users = options.users;
        let world = World::new(options);
        let (listener, address) = listen(self.port).await?;
        // A program that waits for the address may send a signal at once.
        let mut stops = Stops::listen();
        let shown = json!({ "address": address, "users": users, "seed": self.world.seed });
        output::result(self.json, &shown, || format!("listening on {address}"));
        let token = if self.token.is_some() { "<that token>" } else { "any" };
        output::note(
            self.json,
            &format!("{}; stop it with Ctrl-C. In another terminal:", output::count(users as u64, "user")),
        );
        output::note(self.json, &format!("  export INTERCOM_BASE_URL={address} INTERCOM_TOKEN={token}"));
        output::note(self.json, "  cargo bulk preview plans/has-avatar.toml");
        tokio::select! {
            served = world.serve(listener) => {
                served.map_err(|source| CommandError::Listen { address, source })?;
            }
            () = stops.next() => {}
        }
        Ok(INTERRUPTED)
    }
}

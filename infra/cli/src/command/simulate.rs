//! `simulate`: a simulated Intercom workspace on a port of this machine.

use std::path::{Path, PathBuf};

use clap::Args;
use intercom_simulator::{Choice, Described, Fault, Options, World};
use serde_json::json;
use tokio::net::TcpListener;

use super::{CommandError, INTERRUPTED};
use crate::output;
use crate::stop::Stops;

#[derive(Debug, Args)]
#[command(
    after_help = "Any token is let in unless --token names one. GET /_simulator/state and /_simulator/users tell\n\
    what the workspace really holds, for comparing.\n\
    Exit codes: 1 it cannot listen · 64 wrong usage · 130 interrupted by Ctrl-C, SIGTERM or SIGHUP, its usual end"
)]
pub(super) struct Simulate {
    /// Port on 127.0.0.1; 0 takes a free one and says which
    #[arg(long, default_value_t = 8787)]
    port: u16,
    #[command(flatten)]
    world: WorldArguments,
    /// JSON file with the workspace's users and its quirks, in place of users made from the seed
    #[arg(long = "world", value_name = "FILE", conflicts_with_all = ["users", "seed"])]
    file: Option<PathBuf>,
    /// The only token that is let in
    #[arg(long)]
    token: Option<String>,
    /// One JSON object, on standard output, once it listens
    #[arg(long)]
    json: bool,
}

/// What a simulated workspace is made of.
#[derive(Clone, Debug, Args)]
pub(super) struct WorldArguments {
    /// Users of the workspace
    #[arg(long, default_value_t = 2_000)]
    pub(super) users: usize,
    /// The same seed makes the same people
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Milliseconds that an answer takes
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// Operations that 10 seconds allow; 83 was the limit of 2016, 1667 is a private app's of today
    #[arg(long, default_value_t = 1_667)]
    rate_limit_per_10s: u32,
    /// Seconds after which an unused scroll is gone
    #[arg(long, default_value_t = 60)]
    scroll_ttl_s: u64,
    /// Seconds that a bulk job takes
    #[arg(long, default_value_t = 2)]
    job_delay_s: u64,
    #[arg(long = "fault", value_name = "FAULT", long_help = fault_help())]
    /// Something that goes wrong; may be given again (see --help)
    faults: Vec<Fault>,
    #[arg(long = "option", value_name = "NAME=VALUE", long_help = option_help())]
    /// How the workspace behaves where Intercom does not say; may be given again (see --help)
    choices: Vec<Choice>,
}

fn fault_help() -> String {
    format!("Something that goes wrong; may be given again:\n{}", Fault::NAMES_HELP)
}

fn option_help() -> String {
    format!("How the workspace behaves where Intercom does not say; may be given again:\n{}", Choice::NAMES_HELP)
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
        self.choices.iter().fold(options, |options, choice| options.with(*choice))
    }
}

/// Listens on a port of this machine.
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
        // What waits for the address may ask for an end at once.
        let mut stops = Stops::listen();
        if self.json {
            output::json(&json!({ "address": address, "users": users, "seed": self.world.seed }));
        } else {
            output::line(&format!("listening on {address}"));
        }
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

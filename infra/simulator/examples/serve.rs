//! Serves a simulated workspace, for trying a client by hand:
//! `cargo run -p intercom-simulator --example serve -- 127.0.0.1:8787 250 lose-page=2`.
//!
//! The arguments are the address, the number of users, and faults. Trailing arguments are optional.

use std::error::Error;

use intercom_simulator::{Fault, Options, World};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8787".to_owned());
    let users = arguments.next().map_or(Ok(500), |users| users.parse())?;
    let faults = arguments.map(|text| text.parse()).collect::<Result<Vec<Fault>, _>>()?;
    let world = World::new(Options { users, faults, ..Options::default() });
    world.serve(TcpListener::bind(address).await?).await?;
    Ok(())
}

//! Signals that stop the command. Ctrl-C (SIGINT), SIGTERM (`systemctl stop`, `docker stop`, a
//! reboot) and SIGHUP (a closed terminal, a lost ssh connection) have the same effect.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives the signals. A signal between two calls of [`Stops::next`] is not lost.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Stops {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

#[cfg(unix)]
impl Stops {
    /// Starts to listen. From now on, these signals do not end the process by themselves.
    ///
    /// An ignored hang-up, for instance under `nohup`, stays ignored.
    pub(crate) fn listen() -> Self {
        let of = |kind| signal(kind).inspect_err(|error| tracing::warn!(%error, "a signal cannot be heard")).ok();
        Self {
            interrupt: of(SignalKind::interrupt()),
            terminate: of(SignalKind::terminate()),
            hangup: if hangup_is_ignored() { None } else { of(SignalKind::hangup()) },
        }
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = heard(&mut self.interrupt) => {}
            () = heard(&mut self.terminate) => {}
            () = heard(&mut self.hangup) => {}
        }
    }
}

#[cfg(unix)]
async fn heard(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Returns whether this process was started with hang-ups ignored.
///
/// Linux reports it. On other systems, a process without a terminal on any standard stream is taken
/// for one under `nohup`.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    use std::io::IsTerminal;
    match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => ignores_hangup(&status),
        Err(_) => {
            !std::io::stdin().is_terminal() && !std::io::stdout().is_terminal() && !std::io::stderr().is_terminal()
        }
    }
}

/// Reads the mask of ignored signals in `/proc/self/status`. SIGHUP is its lowest bit.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Receives Ctrl-C, the only signal on this system.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Stops;

#[cfg(not(unix))]
impl Stops {
    /// Starts to listen.
    pub(crate) fn listen() -> Self {
        Self
    }

    /// Waits for the next Ctrl-C.
    pub(crate) async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_hang_up_is_read_from_the_mask() {
        assert!(ignores_hangup("Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"), "SIGPIPE alone");
        assert!(!ignores_hangup(""));
    }
}

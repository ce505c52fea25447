//! Signals that end a command.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Failure;

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// # Errors
    /// If the system does not let us listen.
    pub(crate) fn install() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::system(format!("cannot listen for signals: {error}")))
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for a signal; the exit code, as a shell has it: 128 and the signal's number.
    pub(crate) async fn signalled(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => 143,
        }
    }
}

/// The exit code after SIGINT or Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

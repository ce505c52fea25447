//! Signals: the first SIGINT or SIGTERM drains, the second ends at once, SIGHUP reads the certificate again.

use std::sync::Arc;
use std::sync::mpsc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::Failure;
use crate::say;
use crate::tls::Certificate;

/// Listens on a thread of its own, so that a busy server still ends. The value is whether the server is to
/// drain.
///
/// # Errors
/// If the handlers cannot be installed.
pub(crate) fn listen(certificate: Option<Arc<Certificate>>) -> Result<watch::Receiver<bool>, Failure> {
    let (drain, draining) = watch::channel(false);
    let (installed, result) = mpsc::channel();
    let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(installed.send(Err(error))),
        };
        runtime.block_on(async {
            match Signals::install() {
                Ok(signals) => {
                    drop(installed.send(Ok(())));
                    signals.watch(drain, certificate.as_deref()).await;
                }
                Err(error) => drop(installed.send(Err(error))),
            }
        });
    });
    let failure = |error: std::io::Error| Failure::system(format!("cannot listen for signals: {error}"));
    thread.map_err(failure)?;
    match result.recv() {
        Ok(Ok(())) => Ok(draining),
        Ok(Err(error)) => Err(failure(error)),
        Err(_) => Err(Failure::system("the thread for signals has ended")),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn watch(mut self, drain: watch::Sender<bool>, certificate: Option<&Certificate>) {
        loop {
            // Exit codes as of a shell: 128 and the signal's number.
            let code = tokio::select! {
                _ = self.interrupt.recv() => 130,
                _ = self.terminate.recv() => 143,
                _ = self.hangup.recv() => {
                    reload(certificate);
                    continue;
                }
            };
            if drain.send_replace(true) {
                say("trunkline: a second signal: ending at once");
                std::process::exit(code);
            }
        }
    }
}

fn reload(certificate: Option<&Certificate>) {
    match certificate.map(Certificate::reload) {
        None => tracing::info!("SIGHUP: there is no certificate to read again"),
        Some(Ok(())) => tracing::info!("SIGHUP: the certificate was read again"),
        Some(Err(error)) => tracing::error!("SIGHUP: the certificate in use stays: {error}"),
    }
}

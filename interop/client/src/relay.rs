//! A TCP relay before a server that can cut what goes through it: how a case loses a connection from outside.

use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::failure::Outcome;

/// Dropped, it cuts everything and ends.
pub(crate) struct Relay {
    pub(crate) port: u16,
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Relays to `server` on 127.0.0.1.
    pub(crate) async fn start(server: u16) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (open, state) = watch::channel(true);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Cut: the connection ends as soon as it was accepted.
                if *state.borrow() {
                    tokio::spawn(relay(client, server, state.clone()));
                }
            }
        });
        Ok(Self { port, open, accepting })
    }

    /// Ends all connections, and those that are tried from now on.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until either side ends, or the relay is cut or gone.
async fn relay(mut client: TcpStream, server: u16, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
    tokio::select! {
        // How it ends is the business of the two sides.
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

//! What the client's tests share: servers on ports of their own, and quick clients.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use trunkline::Io;
use trunkline_client::{Builder, Changes, Client, Lifecycle, Reconnection, TransportKind};
use trunkline_testkit::{TestServer, within};

/// Serves on a port of its own.
pub(crate) fn serve(io: &Io) -> TestServer {
    TestServer::start(1, io.service())
}

/// A client over WebSocket alone that comes back quickly.
pub(crate) fn builder(server: &TestServer) -> Builder {
    Client::builder(&format!("http://{}", server.address))
        .transports([TransportKind::WebSocket])
        .reconnection(quickly())
}

/// Ten milliseconds between attempts.
pub(crate) fn quickly() -> Reconnection {
    Reconnection::default().delay(Duration::from_millis(10)).delay_max(Duration::from_millis(10))
}

/// The next change, which must come.
pub(crate) async fn next(changes: &mut Changes) -> Lifecycle {
    within("a change", changes.next()).await.expect("the client lives")
}

/// Waits for a change.
pub(crate) async fn until(changes: &mut Changes, mut wanted: impl FnMut(&Lifecycle) -> bool) -> Lifecycle {
    within("a certain change", async {
        loop {
            let change = changes.next().await.expect("the client lives");
            if wanted(&change) {
                return change;
            }
        }
    })
    .await
}

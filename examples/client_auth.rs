//! How does a token stay fresh? Auth as an async function: it is asked again for every connection.
//!
//! Run it with `cargo run -p trunkline-examples --example client_auth`; it has a server that accepts a token once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use trunkline::{Admission, Auth, Io, Refusal, State};
use trunkline_client::{Client, Lifecycle};

#[derive(Serialize, Deserialize)]
struct Token {
    token: u64,
}

/// The first token that was not used.
type Unused = Arc<AtomicU64>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Io::builder().state(Unused::default()).build();
    io.of("/").check(async |_: Admission, Auth(auth): Auth<Token>, State(unused): State<Unused>| {
        let next = auth.token + 1;
        if unused.fetch_max(next, Ordering::SeqCst) < next {
            Ok(())
        } else {
            Err(Refusal::new("a used token"))
        }
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let service = io.service();
    std::thread::spawn(move || trunkline::serve(listener, service).run());

    let tokens = Arc::new(AtomicU64::new(0));
    let client = Client::builder(&format!("http://{address}"))
        .auth_with(move || {
            let tokens = Arc::clone(&tokens);
            // Here one would ask the service that gives tokens.
            async move { Ok::<_, std::io::Error>(Token { token: tokens.fetch_add(1, Ordering::SeqCst) }) }
        })
        .build()?;
    let socket = client.of("/");
    let mut changes = socket.lifecycle();
    for _ in 0..3 {
        socket.connected().await?;
        println!("connected as {:?}", socket.id());
        socket.disconnect();
        while !matches!(changes.next().await, Some(Lifecycle::Disconnect { .. }) | None) {}
        socket.connect();
    }
    client.close().await;
    Ok(())
}

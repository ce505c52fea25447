//! How do an axum application and Socket.IO share one port, in tokio's own runtime?
//!
//! Run it with `cargo run -p trunkline-examples --example axum`. `trunkline::serve(listener, app)` in place
//! of `axum::serve` runs one thread per core and tells the clients' addresses to `Handshake::address`.

use axum::Router;
use axum::routing::get;
use trunkline::{Data, Io, Reply};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Io::new();
    io.of("/").on("echo", async |Data(text): Data<String>| Reply(text));

    let app = Router::new().route("/", get(async || "hello from axum\n")).layer(io.layer());
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}

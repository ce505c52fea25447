//! How does a client begin? Connects, listens, sends, follows the connection's life, and leaves.
//!
//! Run a server with `cargo run -p trunkline-examples --example chat`, then this with
//! `cargo run -p trunkline-examples --example client_first_steps`.

use serde_json::json;
use trunkline_client::{Args, Client, ConnectError, Data, DisconnectReason, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:3000".into());
    let client = Client::builder(&url).auth(json!({ "name": "ann" })).build()?;

    let chat = client.socket("/chat").build(); // not connecting yet: handlers first
    chat.on("joined", async |Data(user): Data<serde_json::Value>| println!("joined: {user}"))
        .on("post", async |Args((id, user, text)): Args<(u64, serde_json::Value, String)>| {
            println!("{id} {user}: {text}");
        })
        .on_connect(async |socket: Socket| println!("connected as {:?}", socket.id()))
        .on_connect_error(async |error: ConnectError| println!("not connected: {error}"))
        .on_disconnect(async |reason: DisconnectReason| println!("disconnected: {reason}"));
    chat.connect();
    chat.connected().await?;

    chat.emit("typing", ())?; // queued; leaves at once, or with the next connection
    let receipt: serde_json::Value = chat.emit_with_ack("post", "hello").await?; // see client_acks.rs
    println!("the server says: {receipt}");
    client.close().await; // leaves the namespace, sends what is queued
    Ok(())
}

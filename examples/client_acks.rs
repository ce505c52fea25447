//! How does one know that an event has arrived? By its acknowledgement, which always ends: answer, timeout or disconnect.
//!
//! Run a server with `cargo run -p trunkline-examples --example chat`, then this with
//! `cargo run -p trunkline-examples --example client_acks`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use trunkline_client::{AckError, Client};

#[derive(Debug, Deserialize)]
struct Receipt {
    id: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:3000".into());
    let client = Client::builder(&url).auth(json!({ "name": "ann" })).build()?;
    let chat = client.of("/chat");
    chat.connected().await?;

    let receipt: Receipt = chat.emit_with_ack("post", "is anybody here?").await?;
    println!("post {} was taken", receipt.id);

    // Three at a time; the answers come when they come.
    let posts = ["one", "two", "three"].map(|text| chat.emit_with_ack::<Receipt>("post", text));
    for post in posts {
        println!("{:?}", post.await?);
    }

    match chat.timeout(Duration::from_millis(200)).emit_with_ack::<Receipt>("unknown event", ()).await {
        Err(AckError::Timeout) => println!("nobody answers an unknown event"),
        other => println!("{other:?}"),
    }

    // With retries an event is sent again until it is acknowledged, in order, over reconnections too.
    let sure = Client::builder(&url).auth(json!({ "name": "bob" })).retries(5).build()?;
    let receipt: Receipt = sure.of("/chat").emit_with_ack("post", "this one arrives").await?;
    println!("post {} was taken", receipt.id);
    Ok(())
}

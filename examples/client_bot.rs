//! How does one write a bot? A loop over a stream of events: this one answers in the chat.
//!
//! Run a server with `cargo run -p trunkline-examples --example chat`, then this with
//! `cargo run -p trunkline-examples --example client_bot`.

use serde::Deserialize;
use serde_json::json;
use trunkline_client::{Args, Client, Lifecycle};

#[derive(Deserialize)]
struct User {
    name: String,
}

const NAME: &str = "echo bot";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:3000".into());
    let client = Client::builder(&url).auth(json!({ "name": NAME })).build()?;
    let chat = client.socket("/chat").build();
    let (mut events, mut changes) = (chat.events(), chat.lifecycle());
    chat.connect();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) if event.name() == "post" => {
                    let Ok(Args((_, user, text))) = event.data::<Args<(u64, User, String)>>() else { continue };
                    if user.name != NAME {
                        chat.emit("post", format!("{} said: {text}", user.name))?;
                    }
                }
                Some(_) => {}
                None => return Ok(()),
            },
            change = changes.next() => match change {
                // The server does not want us; losses, on the other hand, repair themselves.
                Some(Lifecycle::ConnectError(error)) if !chat.is_active() => return Err(error.into()),
                Some(change) => println!("{change:?}"),
                None => return Ok(()),
            },
        }
    }
}

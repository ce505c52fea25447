//! How is the Engine.IO layer used alone, without events and rooms? A server that sends every message back.
//!
//! Run it with `cargo run -p trunkline-examples --example engine_echo`, then connect with the npm package
//! `engine.io-client`: `new Socket("ws://127.0.0.1:3000")`.

use std::net::TcpListener;

use trunkline::engine::{Engine, Message};

fn main() -> std::io::Result<()> {
    let engine = Engine::builder()
        .on_open(|session| println!("open over {}", session.transport().as_str()))
        .on_message(|session, message| {
            let result = match message {
                Message::Text(text) => session.send(text),
                Message::Binary(data) => session.send_binary(data),
            };
            if let Err(error) = result {
                // `Full`: this client reads more slowly than it writes. Nothing was queued, the session goes on.
                eprintln!("not sent: {error}");
            }
        })
        .on_close(|_, reason| println!("closed: {reason}"))
        .build();

    let listener = TcpListener::bind("127.0.0.1:3000")?;
    println!("listening on {}", listener.local_addr()?);
    trunkline::serve(listener, engine.service()).run()
}

//! How does a whole application look? A chat: checked names, a lobby, posts with a receipt, who is typing.
//!
//! Run it with `cargo run -p trunkline-examples --example chat`, then connect with the npm package
//! `socket.io-client`: `io("http://127.0.0.1:3000/chat", { auth: { name: "ann" } })`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use trunkline::{
    Admission, Args, Auth, Data, DisconnectReason, Extension, HandlerError, Io, Refusal, Socket, State,
};

/// What all handlers share: the number of the next post.
type Posts = Arc<AtomicU64>;

/// Sent by the client as its `auth`; kept with its socket.
#[derive(Clone, Deserialize, Serialize)]
struct User {
    name: String,
}

#[derive(Serialize)]
struct Receipt {
    id: u64,
}

fn main() -> std::io::Result<()> {
    let io = Io::builder().state(Posts::default()).build();

    io.of("/chat")
        .check(authenticate) // may reject, with a message and data
        .on_connect(async |socket: Socket, Extension(user): Extension<User>| {
            socket.join("lobby");
            socket.to("lobby").emit("joined", user)
        })
        .on("post", post)
        .on("typing", async |socket: Socket, Extension(user): Extension<User>| {
            socket.to("lobby").volatile().emit("typing", user) // who cannot take it now goes without
        })
        .on_disconnect(async |socket: Socket, Extension(user): Extension<User>, reason: DisconnectReason| {
            socket.to("lobby").emit("left", Args((user, reason.as_str())))
        });

    let app = axum::Router::new().route("/", axum::routing::get("a chat\n")).layer(io.layer());
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on http://{}", listener.local_addr()?);
    trunkline::serve(listener, app).run()
}

async fn authenticate(admission: Admission, Auth(user): Auth<User>) -> Result<(), Refusal> {
    if !(1..=32).contains(&user.name.len()) {
        return Err("a name of 1 to 32 bytes is needed".into());
    }
    admission.insert(user);
    Ok(())
}

async fn post(
    socket: Socket,
    Data(text): Data<String>,
    Extension(user): Extension<User>,
    State(posts): State<Posts>,
) -> Result<Receipt, HandlerError> {
    if text.trim().is_empty() {
        return Err(HandlerError::public("an empty post"));
    }
    let id = posts.fetch_add(1, Ordering::Relaxed);
    socket.to("lobby").emit("post", Args((id, user, text)))?;
    Ok(Receipt { id }) // the acknowledgement
}

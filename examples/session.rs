//! How does an HTTP route speak to the user who calls it? Ann follows Bob's invitation: her page posts its
//! socket's id, and his friend request shows up on her pages, on nobody else's.
//!
//! A socket's id alone proves nothing, since others may have seen it. The route acts only if the socket is
//! connected and its handshake carried the same session cookie as the request.
//!
//! Run it with `cargo run -p trunkline-examples --example session`. `GET /` sets the cookie; with it, connect
//! a socket and `POST /friend-requests/<socket id>` with the name of the friend as the body.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use trunkline::{Admission, Io, Refusal, Socket, SocketId};

const SESSION: &str = "session";

fn main() -> std::io::Result<()> {
    let io = Io::builder().allow_eio3(true).build();
    io.of("/").check(has_session).on_connect(async |socket: Socket| {
        // All pages of one user are in one room.
        if let Some(session) = socket.handshake().cookie(SESSION) {
            socket.join(room(session));
        }
    });

    let app = Router::new()
        .route("/", get(log_in))
        .route("/friend-requests/{socket}", post(request_friend))
        .with_state(io.clone())
        .layer(io.layer());
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on http://{}", listener.local_addr()?);
    trunkline::serve(listener, app).run()
}

async fn has_session(admission: Admission) -> Result<(), Refusal> {
    match admission.handshake().cookie(SESSION) {
        Some(session) if !session.is_empty() => Ok(()),
        _ => Err(Refusal::new("log in first")),
    }
}

/// Stands for a real login: whoever has no session gets one.
async fn log_in(headers: HeaderMap) -> impl IntoResponse {
    let session = cookie(&headers).map_or_else(|| trunkline::Id::random().to_string(), str::to_owned);
    // `SameSite` keeps other sites' pages from posting in the user's name.
    let cookie = format!("{SESSION}={session}; Path=/; HttpOnly; SameSite=Lax");
    ([(SET_COOKIE, cookie)], "logged in\n")
}

async fn request_friend(
    State(io): State<Io>,
    Path(socket): Path<String>,
    headers: HeaderMap,
    friend: String,
) -> Result<StatusCode, StatusCode> {
    let session = cookie(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let socket = io.socket(&SocketId::from(&*socket)).ok_or(StatusCode::NOT_FOUND)?;
    if socket.handshake().cookie(SESSION) != Some(session) {
        return Err(StatusCode::FORBIDDEN);
    }
    io.to(room(session)).emit("friend request", friend).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(StatusCode::NO_CONTENT)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == SESSION && !value.is_empty()).map(|(_, value)| value)
}

fn room(session: &str) -> String {
    format!("session:{session}")
}

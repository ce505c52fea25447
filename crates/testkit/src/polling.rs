//! A client of HTTP long-polling: one connection for its GETs, one for its POSTs.

use std::net::SocketAddr;

use crate::http::{Http, Request, Response};

/// A polling session, opened by [`Polling::open`].
#[derive(Debug)]
pub struct Polling {
    /// The session's id.
    pub sid: String,
    /// The body of the handshake's answer.
    pub handshake: String,
    /// Path and query of the session's requests.
    pub target: String,
    /// The connection of the GETs.
    pub getter: Http,
    /// The connection of the POSTs.
    pub poster: Http,
}

impl Polling {
    /// A session of Engine.IO 4.
    pub async fn open(address: SocketAddr) -> Self {
        Self::open_with(address, "EIO=4").await
    }

    /// A session whose requests have these parameters beside `transport` and `sid`.
    pub async fn open_with(address: SocketAddr, query: &str) -> Self {
        let target = format!("/engine.io/?transport=polling&{query}");
        let mut getter = Http::connect(address).await;
        let response = getter.request(&Request::get(&target)).await;
        assert_eq!(response.status, 200, "{response:?}");
        let handshake = response.text().to_owned();
        let sid = sid_of(&handshake);
        let target = format!("{target}&sid={sid}");
        Self { sid, handshake, target, getter, poster: Http::connect(address).await }
    }

    /// Sends a GET; its answer is read by `getter.response()`.
    pub async fn start_get(&mut self) {
        self.getter.send(&Request::get(&self.target)).await;
    }

    /// Sends a GET and reads its answer.
    pub async fn get(&mut self) -> Response {
        self.start_get().await;
        self.getter.response().await
    }

    /// The text of the next payload.
    pub async fn receive(&mut self) -> String {
        let response = self.get().await;
        assert_eq!(response.status, 200, "{response:?}");
        response.text().to_owned()
    }

    /// Sends a POST and reads its answer.
    pub async fn post(&mut self, body: impl Into<Vec<u8>>) -> Response {
        self.poster.request(&Request::post(&self.target, body)).await
    }

    /// Sends a POST that must be taken.
    pub async fn send(&mut self, body: impl Into<Vec<u8>>) {
        let response = self.post(body).await;
        assert_eq!((response.status, response.text()), (200, "ok"), "{response:?}");
    }
}

/// The `sid` in a handshake's packet.
///
/// # Panics
/// If there is none.
pub fn sid_of(handshake: &str) -> String {
    // Inside JSONP the quotes are escaped.
    let plain = handshake.replace('\\', "");
    let (_, rest) = plain.split_once("\"sid\":\"").unwrap_or_else(|| panic!("no sid in {handshake}"));
    rest.chars().take_while(|c| *c != '"').collect()
}

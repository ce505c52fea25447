//! How do plain hyper and Socket.IO share one port? The layer wraps any tower service; hyper only needs
//! upgrades on.
//!
//! Run it with `cargo run -p trunkline-examples --example hyper`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tower_layer::Layer;
use trunkline::{ConnectionInfo, Data, Io, Reply};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Io::new();
    io.of("/").on("echo", async |Data(text): Data<String>| Reply(text));

    let app = io.layer().layer(Hello);
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, address) = listener.accept().await?;
        // So that `Handshake::address` knows it.
        let info = ConnectionInfo { address, secure: false };
        let app = TowerToHyperService::new(app.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(info);
            hyper::service::Service::call(&app, request)
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.with_upgrades().await {
                eprintln!("{address}: {error}");
            }
        });
    }
}

/// The application: any tower service will do.
#[derive(Clone)]
struct Hello;

impl tower_service::Service<Request<Incoming>> for Hello {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        ready(Ok(Response::new("hello from hyper\n".into())))
    }
}

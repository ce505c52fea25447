//! Under which HTTP servers the TCP stream is taken out after the upgrade (the way is a metric), and that all work.

use std::convert::Infallible;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use trunkline::engine::Engine;
use trunkline_testkit::{Conn, Http, Polling, Request, Rig, TestServer, Ws};

use crate::{THREADS, WEBSOCKET};

/// Speaks over both transports, and over an upgrade.
async fn speak(rig: &Rig) {
    let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
    check(&mut ws, rig).await;
    let mut client = Polling::open(rig.address()).await;
    client.send("4polling").await;
    assert_eq!(client.receive().await, "4polling");
    let mut ws = Ws::connect(rig.address(), &format!("{WEBSOCKET}&sid={}", client.sid)).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    ws.send("5").await;
    ws.send("4upgraded").await;
    assert_eq!(ws.text().await, "4upgraded");
}

async fn check(ws: &mut Ws, rig: &Rig) {
    assert!(ws.text().await.starts_with("0{"));
    let text = format!("4{}", "x".repeat(100_000));
    for _ in 0..5 {
        ws.send(&text).await;
    }
    for _ in 0..5 {
        assert_eq!(ws.text().await, text);
    }
    assert_eq!(rig.engine.session_count(), 1);
}

fn ways(engine: &Engine) -> Vec<(&'static str, u64)> {
    engine.metrics().streams.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.worker_threads(threads).enable_all().build().expect("a runtime")
}

#[tokio::test]
async fn our_own_server_gives_the_tcp_stream() {
    for threads in THREADS {
        let rig = Rig::start(threads);
        speak(&rig).await;
        assert_eq!(ways(&rig.engine), [("own", 2)]);
    }
}

#[tokio::test]
async fn axum_gives_the_tcp_stream_and_routes_beside_it() {
    for threads in THREADS {
        let rig = Rig::serving(
            |b| b.shards(threads),
            |engine| {
                let app = Router::new().route("/", get(async || "index")).layer(engine.layer());
                TestServer::spawn(|listener, end| {
                    move || {
                        runtime(threads).block_on(async {
                            listener.set_nonblocking(true).expect("a listener");
                            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                            tokio::select! {
                                result = axum::serve(listener, app) => result.expect("serves"),
                                () = end => {}
                            }
                        });
                    }
                })
            },
        );
        let mut http = Http::connect(rig.address()).await;
        assert_eq!(http.request(&Request::get("/")).await.text(), "index");
        speak(&rig).await;
        assert_eq!(ways(&rig.engine), [("auto", 2)]);
        assert_eq!(http.request(&Request::get("/none")).await.status, 404);
    }
}

/// Which of hyper's builders serves.
#[derive(Clone, Copy)]
enum Hyper {
    Http1,
    Auto,
}

fn hyper(threads: usize, builder: Hyper) -> Rig {
    Rig::serving(
        |b| b.shards(threads),
        |engine| {
            let service = TowerToHyperService::new(engine.service());
            TestServer::spawn(|listener, end| {
                move || {
                    runtime(threads).block_on(async {
                        listener.set_nonblocking(true).expect("a listener");
                        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                        let serving = async {
                            loop {
                                let (stream, _) = listener.accept().await.expect("a connection");
                                let (io, service) = (TokioIo::new(stream), service.clone());
                                tokio::spawn(async move {
                                    match builder {
                                        Hyper::Http1 => drop(
                                            hyper::server::conn::http1::Builder::new()
                                                .serve_connection(io, service)
                                                .with_upgrades()
                                                .await,
                                        ),
                                        Hyper::Auto => drop(
                                            auto::Builder::new(TokioExecutor::new())
                                                .serve_connection_with_upgrades(io, service)
                                                .await,
                                        ),
                                    }
                                });
                            }
                        };
                        tokio::select! {
                            never = serving => never,
                            () = end => {}
                        }
                    });
                }
            })
        },
    )
}

#[tokio::test]
async fn hyper_gives_the_tcp_stream() {
    for threads in THREADS {
        let rig = hyper(threads, Hyper::Http1);
        speak(&rig).await;
        assert_eq!(ways(&rig.engine), [("http1", 2)]);
    }
}

#[tokio::test]
async fn the_auto_builder_gives_the_tcp_stream() {
    for threads in THREADS {
        let rig = hyper(threads, Hyper::Auto);
        speak(&rig).await;
        assert_eq!(ways(&rig.engine), [("auto", 2)]);
    }
}

#[tokio::test]
async fn tls_is_not_taken_apart_and_all_arrives() {
    for threads in THREADS {
        let rig = Rig::tls(threads, |b| b);
        let conn = Conn::open_tls(rig.address()).await;
        let mut ws = Ws::request(conn, &Request::upgrade(WEBSOCKET)).await.expect("101");
        check(&mut ws, &rig).await;
        assert_eq!(ways(&rig.engine), [("tls", 1)]);
        let mut http = Http::over(Conn::open_tls(rig.address()).await);
        assert_eq!(http.request(&Request::get("/engine.io/?EIO=4&transport=polling")).await.status, 200);
    }
}

// The layer's error type is the wrapped service's: with a service that cannot fail, it cannot.
const _: fn(&Engine) = |engine| {
    fn cannot_fail<S: tower_service::Service<http::Request<hyper::body::Incoming>, Error = Infallible>>(
        _: S,
    ) {
    }
    cannot_fail(engine.service());
};

//! The service without a server: what no client over TCP can time, and what other HTTP servers hand in.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::Semaphore;
use tower_service::Service as _;
use trunkline::engine::{Engine, EngineBuilder, EngineSession};
use trunkline::{Cors, Io};

const HANDSHAKE: &str = "/engine.io/?EIO=4&transport=polling";

fn get(target: &str) -> Request<Empty<Bytes>> {
    Request::get(target).body(Empty::new()).unwrap()
}

/// The answer, with its body.
fn ask<B>(engine: &Engine, request: Request<B>) -> BoxFuture<'static, (StatusCode, String)>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    let answer = engine.service().call(request);
    Box::pin(async move {
        let response = answer.await.unwrap_or_else(|never: Infallible| match never {});
        let status = response.status();
        let body = response.into_body().collect().await.unwrap_or_else(|never| match never {}).to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    })
}

/// A body whose end never comes.
struct Unfinished;

impl Body for Unfinished {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// An engine whose only session is given, and what it says of the session's end.
async fn opened(configure: impl FnOnce(EngineBuilder) -> EngineBuilder) -> (Engine, EngineSession, Ends) {
    let (session, ends) = (Arc::new(Mutex::new(None)), Ends::default());
    let (keeps, ended) = (Arc::clone(&session), ends.clone());
    let builder = Engine::builder()
        .shards(1)
        .on_open(move |session| *keeps.lock().unwrap() = Some(session.clone()))
        .on_close(move |_, reason| ended.0.lock().unwrap().push(reason));
    let engine = configure(builder).build();
    assert_eq!(ask(&engine, get(HANDSHAKE)).await.0, 200);
    turns().await;
    let session = session.lock().unwrap().take().unwrap();
    (engine, session, ends)
}

#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<&'static str>>>);

impl Ends {
    fn now(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

/// Lets the tasks of this thread run, without any time passing.
async fn turns() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_given_up_with_its_packets_in_hand_ends_the_session() {
    let (engine, session, ends) = opened(|builder| builder).await;
    let target = format!("{HANDSHAKE}&sid={}", session.id());
    let mut poll = ask(&engine, get(&target));
    assert!((&mut poll).now_or_never().is_none());
    // While it is read, the poll's answer waits for a moment.
    let mut post = ask(&engine, Request::post(&target).body(Unfinished).unwrap());
    assert!((&mut post).now_or_never().is_none());
    session.send("lost with its request").unwrap();
    turns().await;
    assert!((&mut poll).now_or_never().is_none());
    drop(poll);
    turns().await;
    assert_eq!(ends.now(), ["transport error"]);
}

#[tokio::test]
async fn the_bounds_of_a_handshake_hold_when_the_application_has_decided() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let engine = Engine::builder().shards(1).max_sessions(2).allow_request(move |_| {
        let gate = Arc::clone(&waits);
        Box::pin(async move {
            gate.acquire().await.map_err(|_| "closed".to_owned())?.forget();
            Ok(())
        })
    });
    let engine = engine.build();
    let mut asked: Vec<_> = (0..5).map(|_| ask(&engine, get(HANDSHAKE))).collect();
    assert!(asked.iter_mut().all(|answer| answer.now_or_never().is_none()), "each waits for the decision");
    gate.add_permits(4);
    let mut statuses = Vec::new();
    for answer in asked.drain(..4) {
        statuses.push(answer.await.0.as_u16());
    }
    assert_eq!((statuses, engine.session_count()), (vec![200, 200, 503, 503], 2));

    let closing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.close().await }
    });
    turns().await;
    gate.add_permits(1);
    assert_eq!(asked.remove(0).await.0, 503, "it closes meanwhile");
    closing.abort();
}

#[tokio::test]
async fn a_page_of_the_own_origin_may_connect_over_http_2() {
    let engine = Engine::builder().shards(1).build();
    let from = |origin: &str| {
        // HTTP/2 names the host in the request's target, not in a header (RFC 9113, 8.3.1).
        let request = Request::get(format!("https://chat.example:8443{HANDSHAKE}"));
        request.version(Version::HTTP_2).header("origin", origin).body(Empty::<Bytes>::new()).unwrap()
    };
    assert_eq!(ask(&engine, from("https://chat.example:8443")).await.0, 200);
    assert_eq!(ask(&engine, from("https://chat.example")).await.0, 403);
    assert_eq!(ask(&engine, from("https://evil.example:8443")).await.0, 403);
}

#[tokio::test]
async fn a_panic_in_a_hook_ends_that_call_and_nothing_else() {
    let engine = Engine::builder()
        .shards(1)
        .cors(Cors::check(
            |origin| if origin == "http://a.example" { panic!("no origin of mine") } else { true },
        ))
        .allow_request(|handshake| {
            assert!(handshake.query_param("now").is_none(), "before its future");
            let late = handshake.query_param("late").is_some();
            Box::pin(async move {
                assert!(!late, "in its future");
                Ok(())
            })
        })
        .initial_headers(|_, _| panic!("no headers"))
        .on_connection_error(|_| panic!("no errors"))
        .build();
    let with = |query: &str| get(&format!("{HANDSHAKE}{query}"));
    for query in ["&now=1", "&late=1"] {
        assert_eq!(ask(&engine, with(query)).await, (StatusCode::INTERNAL_SERVER_ERROR, String::new()));
    }
    let (status, body) = ask(&engine, with("")).await;
    assert_eq!((status.as_u16(), body.starts_with("0{")), (200, true));
    assert_eq!(ask(&engine, get("/engine.io/?EIO=4")).await.0, 400);
    let mut foreign = with("");
    foreign.headers_mut().insert("origin", "http://a.example".parse().unwrap());
    assert_eq!(ask(&engine, foreign).await.0, 403, "who cannot be judged is not admitted");
    // Two of allow_request, one for headers, one for each of the four refusals, one for the origin.
    assert_eq!((engine.metrics().handler_panics, engine.session_count()), (8, 1));
}

#[tokio::test]
async fn a_panic_in_a_hook_of_history_is_no_other() {
    let io = Io::builder().shards(1).on_connection_error(|_| panic!("no errors")).build();
    io.of("/").history(trunkline::History::public());
    let request = get("/socket.io/history/rooms/lobby/events");
    let response: Response<_> = io.service().call(request).await.unwrap();
    assert_eq!((response.status(), io.metrics().handler_panics), (StatusCode::NOT_FOUND, 1));
}

#[tokio::test]
async fn a_script_tag_of_a_foreign_page_opens_and_reads_no_session() {
    let engine = Engine::builder().shards(1).allow_eio3(true).build();
    let script = |site: &str, target: &str| {
        let request = Request::get(target).header("referer", "https://evil.example/");
        request.header("sec-fetch-site", site).body(Empty::<Bytes>::new()).unwrap()
    };
    let target = "/engine.io/?EIO=3&transport=polling&j=0";
    assert_eq!(ask(&engine, script("cross-site", target)).await.0, 403);
    let (status, body) = ask(&engine, script("same-origin", target)).await;
    assert_eq!((status.as_u16(), body.starts_with("___eio[0](\"")), (200, true));
}

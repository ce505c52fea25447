//! What the Rust client that most people know (rust_socketio 0.6) cannot do or does wrong, one test per row, each showing that
//! this one does it.
//!
//! | row | here |
//! | --- | --- |
//! | polling, upgrade | `polling_payloads_are_whole…`, `the_upgrade_happens…` |
//! | several namespaces | `several_namespaces_on_one_connection` |
//! | answers to the server | `the_server_gets_its_acknowledgement` |
//! | events without arguments | `an_event_without_arguments_is_that_event` |
//! | binary | `binary_mixed_with_json…`, `binary_emitted_with_an_acknowledgement…` |
//! | ack ids, timeouts | `ack_ids_never_collide`, `an_acknowledgement_that_never_comes…` |
//! | reconnection | `reconnection_tells_its_attempts`, `attempts_are_not_counted_in_a_byte`; jitter: the backoff's own tests |
//! | offline, retries, recovery | `what_is_emitted_offline…`, `retries_send_again…`, `a_session_is_recovered` |
//! | auth, refusals | `auth_is_fresh_on_each_connection`, `a_connect_error_has_its_data` |
//! | `socket.id` | `the_sockets_id_is_known` |
//! | `on`, `once`, `off`, `onAny`, `onAnyOutgoing` | `handlers_come_and_go_while_connected`, `what_is_sent_can_be_watched` |
//! | disconnect reasons | `disconnects_have_the_references_reasons` |
//! | query, headers | `query_and_headers_reach_the_server` |
//! | msgpack | `msgpack_is_spoken` |
//! | TLS without the system's library | `tls_needs_no_system_library`; client certificates and refusals: `src/engine/tests/tls.rs` |
//! | proxy | `everything_goes_through_the_proxy`; SOCKS5 and refusals: `src/engine/tests/proxies.rs` |
//! | cookies | `cookies_come_back_with_the_next_connection`; their rules: `src/engine/cookies.rs`, `src/engine/tests/cookies.rs` |
//! | blocking API | `blocking.rs` |
//! | WebTransport | **not covered**: absent here too |
//! | wasm | **not covered**: absent here too; in browsers there is `js` |

#[path = "support/script.rs"]
mod script;
mod support;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use script::{Peer, Script, Scripted};
use serde_json::json;
use support::{builder, next, quickly, serve, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use trunkline::Io;
use trunkline_client::{
    AckError, Args, Binary, Client, ConnectError, Data, DisconnectReason, EngineError, EventName, Lifecycle,
    Reconnection, Recovered, Reply, Socket, State, TransportKind, Value,
};
use trunkline_testkit::{DEADLINE, TestServer, within};
use tungstenite::handshake::server::{Request, Response};

type Lines = mpsc::UnboundedSender<String>;

async fn connected(client: &Client) -> Socket {
    let socket = client.of("/");
    within("the connection", socket.connected()).await.expect("connects");
    socket
}

/// A server that gives back all arguments, and asks back on request.
fn echo() -> (Io, TestServer) {
    let io = Io::builder().shards(1).build();
    io.of("/")
        .on("echo", async |Args(all): Args<Vec<Value>>| trunkline::Reply(Args(all)))
        .on("ask me", async |socket: trunkline::Socket, Args(all): Args<Vec<Value>>| {
            let answer = socket.emit_with_ack::<Value>("asked", Args(all)).await;
            trunkline::Reply(answer.map_err(|error| error.to_string()))
        })
        .on("say", async |socket: trunkline::Socket, Args(all): Args<Vec<Value>>| {
            socket.emit("said", Args(all))
        })
        .on("silent", async |ack: trunkline::Ack<u8>| std::mem::forget(ack));
    let server = serve(&io);
    (io, server)
}

fn scripted(server: &Scripted) -> trunkline_client::Builder {
    Client::builder(&server.url()).transports([TransportKind::WebSocket]).reconnection(quickly())
}

#[tokio::test]
async fn polling_payloads_are_whole_however_they_arrive() {
    let (io, server) = echo();
    // Large enough for many TCP segments: what comes in pieces is one payload nevertheless.
    let client = builder(&server).transports([TransportKind::Polling]).build().unwrap();
    let socket = connected(&client).await;
    let mut events = socket.events();
    for number in 0..20 {
        io.of("/").emit("part", Args((number, "x".repeat(50_000)))).unwrap();
    }
    for number in 0..20 {
        let event = within("an event", events.next()).await.unwrap();
        let Args((got, text)) = event.data::<Args<(u32, String)>>().unwrap();
        assert_eq!((got, text.len()), (number, 50_000));
    }
}

#[tokio::test]
async fn the_upgrade_happens_while_the_connection_is_in_use() {
    let (_io, server) = echo();
    let client =
        builder(&server).transports([TransportKind::Polling, TransportKind::WebSocket]).build().unwrap();
    let mut changes = client.lifecycle();
    let socket = connected(&client).await;
    for number in 0..300 {
        let echoed: u32 = within("an answer", socket.emit_with_ack("echo", number)).await.unwrap();
        assert_eq!(echoed, number);
    }
    assert_eq!(client.transport(), Some(TransportKind::WebSocket));
    assert_eq!(next(&mut changes).await, Lifecycle::Upgraded(TransportKind::WebSocket));
}

#[tokio::test]
async fn several_namespaces_on_one_connection() {
    let (io, server) = echo();
    io.of("/other").on("x", async || {});
    let client = builder(&server).build().unwrap();
    let other = client.of("/other");
    connected(&client).await;
    within("the connection", other.connected()).await.unwrap();
    assert_eq!(io.session_count(), 1);
}

#[tokio::test]
async fn the_server_gets_its_acknowledgement() {
    let (_io, server) = echo();
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    socket.on("asked", async |Data(number): Data<u32>| Reply(number + 1));
    let answer: serde_json::Value = within("an answer", socket.emit_with_ack("ask me", 1)).await.unwrap();
    assert_eq!(answer, json!({ "Ok": 2 }));
}

#[tokio::test]
async fn an_event_without_arguments_is_that_event() {
    let (lines, mut said) = mpsc::unbounded_channel::<String>();
    let (_io, server) = echo();
    let client = builder(&server).state::<Lines>(lines).build().unwrap();
    let socket = connected(&client).await;
    socket.on(
        "said",
        async |Args(args): Args<Vec<Value>>, EventName(name): EventName, State(lines): State<Lines>| {
            lines.send(format!("{name} {}", args.len())).unwrap();
        },
    );
    socket.emit("say", ()).unwrap();
    assert_eq!(within("the event", said.recv()).await.unwrap(), "said 0");
}

#[tokio::test]
async fn binary_mixed_with_json_and_several_attachments() {
    let (_io, server) = echo();
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    let mut events = socket.events();
    let bytes = |byte| Binary::from(vec![byte; 3]);
    socket.emit("say", Args((1, bytes(1), json!({ "a": [true] }), vec![bytes(2), bytes(3)]))).unwrap();
    let event = within("the event", events.next()).await.unwrap();
    assert_eq!(event.name(), "said");
    type All = (u32, Binary, serde_json::Value, Vec<Binary>);
    let Args((number, first, object, rest)) = event.data::<Args<All>>().unwrap();
    assert_eq!(
        (number, first, object, rest),
        (1, bytes(1), json!({ "a": [true] }), vec![bytes(2), bytes(3)])
    );
}

#[tokio::test]
async fn binary_emitted_with_an_acknowledgement_is_a_binary_event() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.admit(r#"{"sid":"a"}"#);
        assert_eq!(peer.text(), r#"451-0["bytes",{"_placeholder":true,"num":0}]"#);
        assert_eq!(peer.binary(), [7]);
        peer.send(r#"461-0[{"_placeholder":true,"num":0}]"#);
        peer.send_binary(&[8]);
        peer.closed();
    }) as Script]);
    let client = scripted(&server).build().unwrap();
    let socket = connected(&client).await;
    let answer: Binary =
        within("an answer", socket.emit_with_ack("bytes", Binary::from(vec![7]))).await.unwrap();
    assert_eq!(&*answer, [8]);
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn ack_ids_never_collide() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.admit(r#"{"sid":"a"}"#);
        let mut ids = HashSet::new();
        for _ in 0..2_000 {
            let text = peer.text();
            let id = text.strip_prefix("42").unwrap().split('[').next().unwrap().to_owned();
            assert!(ids.insert(id), "{text}");
        }
        peer.closed();
    }) as Script]);
    let client = scripted(&server).build().unwrap();
    let socket = connected(&client).await;
    let waits: Vec<_> = (0..2_000).map(|number| socket.emit_with_ack::<u32>("x", number)).collect();
    client.close().await;
    for wait in waits {
        assert_eq!(wait.await, Err(AckError::Disconnected));
    }
    server.finish();
}

#[tokio::test]
async fn an_acknowledgement_that_never_comes_ends_in_a_timeout() {
    let (_io, server) = echo();
    let client = builder(&server).ack_timeout(Duration::from_millis(30)).build().unwrap();
    let socket = connected(&client).await;
    assert_eq!(within("the timeout", socket.emit_with_ack::<u8>("silent", ())).await, Err(AckError::Timeout));
}

/// Two connections: the first is lost.
fn lost_and_found() -> Scripted {
    Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"first"}"#);
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"second"}"#);
            peer.closed();
        }),
    ])
}

#[tokio::test]
async fn reconnection_tells_its_attempts() {
    let server = lost_and_found();
    let client = scripted(&server).build().unwrap();
    let mut changes = client.lifecycle();
    let socket = client.of("/");
    let planned = next(&mut changes).await;
    let Lifecycle::ReconnectIn { attempt: 1, delay } = planned else { panic!("{planned:?}") };
    assert!(delay <= Duration::from_millis(10), "{delay:?}");
    assert_eq!(next(&mut changes).await, Lifecycle::ReconnectAttempt(1));
    assert_eq!(next(&mut changes).await, Lifecycle::Reconnect(1));
    within("the return", socket.connected()).await.unwrap();
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn attempts_are_not_counted_in_a_byte() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let soon = Duration::from_micros(1);
    let client = Client::builder(&format!("http://{unused}"))
        .reconnection(Reconnection::default().delay(soon).delay_max(soon).attempts(300))
        .auto_connect(false)
        .build()
        .unwrap();
    let mut changes = client.lifecycle();
    client.of("/").connect();
    let mut last = 0;
    until(&mut changes, |change| {
        if let Lifecycle::ReconnectAttempt(attempt) = change {
            last = *attempt;
        }
        *change == Lifecycle::ReconnectFailed
    })
    .await;
    assert_eq!(last, 300);
}

#[tokio::test]
async fn what_is_emitted_offline_is_sent_later() {
    let (_io, server) = echo();
    let client = builder(&server).auto_connect(false).build().unwrap();
    let socket = client.of("/");
    let answer = socket.emit_with_ack::<u32>("echo", 5);
    socket.connect();
    assert_eq!(within("an answer", answer).await, Ok(5));
}

#[tokio::test]
async fn retries_send_again_what_was_not_acknowledged() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"a"}"#);
            assert_eq!(peer.text(), r#"420["n",1]"#);
            // Each try has an id of its own; 1 belongs to the event that waits.
            assert_eq!(peer.text(), r#"422["n",1]"#);
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"b"}"#);
            assert_eq!(peer.text(), r#"423["n",1]"#);
            peer.send("433[]");
            assert_eq!(peer.text(), r#"421["n",2]"#);
            peer.send("431[]");
            peer.closed();
        }),
    ]);
    let client = scripted(&server).retries(10).ack_timeout(Duration::from_millis(50)).build().unwrap();
    let socket = client.of("/");
    let answers =
        [1, 2].map(|number| socket.timeout(Duration::from_millis(50)).emit_with_ack::<()>("n", number));
    for answer in answers {
        assert_eq!(within("an answer", answer).await, Ok(()));
    }
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn a_session_is_recovered() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"a","pid":"p"}"#);
            peer.send(r#"42["x","1"]"#);
        }) as Script,
        Box::new(|peer: &mut Peer| {
            assert_eq!(peer.admit(r#"{"sid":"a","pid":"p"}"#), r#"40{"offset":"1","pid":"p"}"#);
            peer.closed();
        }),
    ]);
    let (told, mut heard) = mpsc::unbounded_channel();
    let client = scripted(&server).state(told).build().unwrap();
    let socket = client.socket("/").build();
    socket.on_connect(
        async |Recovered(recovered): Recovered, State(told): State<mpsc::UnboundedSender<bool>>| {
            told.send(recovered).unwrap();
        },
    );
    let mut changes = socket.lifecycle();
    socket.connect();
    until(&mut changes, |change| *change == Lifecycle::Connect { recovered: false }).await;
    until(&mut changes, |change| *change == Lifecycle::Connect { recovered: true }).await;
    assert!(socket.is_recovered());
    for recovered in [false, true] {
        assert_eq!(within("a connection's handler", heard.recv()).await, Some(recovered));
    }
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn auth_is_fresh_on_each_connection() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| assert_eq!(peer.admit(r#"{"sid":"a"}"#), r#"40{"token":0}"#)) as Script,
        Box::new(|peer: &mut Peer| {
            assert_eq!(peer.admit(r#"{"sid":"b"}"#), r#"40{"token":1}"#);
            peer.closed();
        }),
    ]);
    let token = Arc::new(AtomicU32::new(0));
    let client = scripted(&server)
        .auth_with(move || {
            let token = token.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<_, String>(json!({ "token": token })) }
        })
        .build()
        .unwrap();
    let mut changes = client.of("/").lifecycle();
    until(&mut changes, |change| matches!(change, Lifecycle::Reconnect(_))).await;
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn a_connect_error_has_its_data() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.open();
        peer.text();
        peer.send(r#"44{"message":"no","data":{"code":7}}"#);
        peer.closed();
    }) as Script]);
    let client = scripted(&server).build().unwrap();
    let error = within("the error", client.of("/").connected()).await.unwrap_err();
    assert_eq!(error, ConnectError::Refused { message: "no".into(), data: Some(json!({ "code": 7 })) });
    server.finish();
}

#[tokio::test]
async fn the_sockets_id_is_known() {
    let (io, server) = echo();
    let client = builder(&server).build().unwrap();
    let socket = client.of("/");
    assert_eq!(socket.id(), None);
    within("the connection", socket.connected()).await.unwrap();
    let ids: Vec<String> =
        io.of("/").sockets().iter().map(|socket| socket.id().as_str().to_owned()).collect();
    assert_eq!(Some(&ids[0]), socket.id().as_ref());
}

#[tokio::test]
async fn handlers_come_and_go_while_connected() {
    let (lines, mut said) = mpsc::unbounded_channel::<String>();
    let (_io, server) = echo();
    let client = builder(&server).state::<Lines>(lines).build().unwrap();
    let socket = connected(&client).await;
    socket.once("said", async |State(lines): State<Lines>| lines.send("once".into()).unwrap());
    socket.on_any(async |State(lines): State<Lines>| lines.send("any".into()).unwrap());
    for _ in 0..2 {
        socket.emit("say", 1).unwrap();
    }
    for expected in ["any", "once", "any"] {
        assert_eq!(within("a call", said.recv()).await.unwrap(), expected);
    }
    socket.off_any();
    socket.on("said", async |State(lines): State<Lines>| lines.send("off".into()).unwrap());
    socket.off("said");
    socket.emit("say", 1).unwrap();
    within("an answer", socket.emit_with_ack::<Value>("echo", 1)).await.unwrap();
    assert!(said.try_recv().is_err());
}

#[tokio::test]
async fn what_is_sent_can_be_watched() {
    let (lines, mut sent) = mpsc::unbounded_channel::<String>();
    let (_io, server) = echo();
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    socket.on_any_outgoing(move |outgoing| {
        lines.send(format!("{} {:?}", outgoing.event(), outgoing.args::<u32>())).unwrap();
    });
    socket.emit("say", 7).unwrap();
    assert_eq!(within("the hook", sent.recv()).await.unwrap(), "say Some(7)");
    socket.off_any_outgoing();
    within("an answer", socket.emit_with_ack::<Value>("echo", 1)).await.unwrap();
    assert!(sent.try_recv().is_err());
}

#[tokio::test]
async fn disconnects_have_the_references_reasons() {
    type Act = fn(&mut Peer);
    let rows: [(Act, DisconnectReason); 5] = [
        (|peer| peer.send("41"), DisconnectReason::IoServerDisconnect),
        (|_| {}, DisconnectReason::TransportClose),
        (|peer| peer.send_masked(), DisconnectReason::TransportError),
        (|peer| peer.send("4nonsense"), DisconnectReason::ParseError),
        (|peer| peer.closed(), DisconnectReason::PingTimeout),
    ];
    for (act, expected) in rows {
        let server = Scripted::start([Box::new(move |peer: &mut Peer| {
            let is_silent = expected == DisconnectReason::PingTimeout;
            let interval = if is_silent { 200 } else { 25_000 };
            peer.open_with(interval, interval);
            peer.text();
            peer.send(r#"40{"sid":"a"}"#);
            act(peer);
            if expected != DisconnectReason::TransportClose {
                peer.closed();
            }
        }) as Script]);
        let client = scripted(&server).reconnection(Reconnection::none()).build().unwrap();
        let mut changes = client.of("/").lifecycle();
        let lost = until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
        assert!(
            matches!(lost, Lifecycle::Disconnect { reason, .. } if reason == expected),
            "{lost:?} instead of {expected}"
        );
        server.finish();
    }
    let (_io, server) = echo();
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    let mut changes = socket.lifecycle();
    socket.disconnect();
    let left = Lifecycle::Disconnect { reason: DisconnectReason::IoClientDisconnect, description: None };
    assert_eq!(next(&mut changes).await, left);
}

#[tokio::test]
async fn query_and_headers_reach_the_server() {
    let (io, server) = echo();
    let client = builder(&server).query("tenant", "a b").header("x-key", "secret").build().unwrap();
    connected(&client).await;
    let sockets = io.of("/").sockets();
    let handshake = sockets[0].handshake();
    assert_eq!(handshake.header("x-key"), Some("secret"));
    assert_eq!(handshake.query_param("tenant").as_deref(), Some("a b"));
}

#[tokio::test]
async fn msgpack_is_spoken() {
    let io = Io::builder().shards(1).msgpack().build();
    io.of("/").on("echo", async |Args(all): Args<Vec<Value>>| trunkline::Reply(Args(all)));
    let server = serve(&io);
    let client = builder(&server).msgpack().build().unwrap();
    let socket = connected(&client).await;
    let Args((number, bytes)) = within(
        "an answer",
        socket.emit_with_ack::<Args<(i32, Binary)>>("echo", Args((-1, Binary::from(vec![1])))),
    )
    .await
    .unwrap();
    assert_eq!((number, &*bytes), (-1, &[1][..]));
}

#[tokio::test]
async fn tls_needs_no_system_library() {
    let io = Io::builder().shards(1).build();
    io.of("/").on("echo", async |Args(all): Args<Vec<Value>>| trunkline::Reply(Args(all)));
    let server = TestServer::start_tls(1, io.service());
    let url = format!("https://localhost:{}", server.address.port());
    let tls = ClientConfig::builder().with_root_certificates(roots()).with_no_client_auth();
    for transport in [TransportKind::Polling, TransportKind::WebSocket] {
        let client =
            Client::builder(&url).tls(Arc::new(tls.clone())).transports([transport]).build().unwrap();
        let socket = connected(&client).await;
        assert_eq!(within("an answer", socket.emit_with_ack("echo", 3)).await, Ok(3));
        client.close().await;
    }
    // Without the test's own authority the certificate is worth nothing.
    let client = Client::builder(&url).reconnection(Reconnection::none()).build().unwrap();
    let error = within("the refusal", client.of("/").connected()).await.unwrap_err();
    let ConnectError::Transport(error) = error else { panic!("{error:?}") };
    assert!(matches!(error.cause(), EngineError::Tls { .. }), "{error:?}");
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(include_bytes!("../../testkit/fixtures/ca.pem"));
    roots.add(authority.unwrap()).unwrap();
    roots
}

#[tokio::test]
async fn everything_goes_through_the_proxy() {
    let (_io, server) = echo();
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, behind) = (proxy.local_addr().unwrap(), server.address);
    let tunnels = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tunnels);
    let serving = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = proxy.accept().await.unwrap();
            let count = Arc::clone(&count);
            connections.spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                // Not the server's address: only the proxy knows where `upstream` is.
                assert!(head.starts_with("CONNECT upstream.test:80 "), "{head}");
                let mut upstream = tokio::net::TcpStream::connect(behind).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut stream, &mut upstream).await);
            });
        }
    });
    let client = Client::builder("http://upstream.test").proxy(&format!("http://{address}")).build().unwrap();
    let socket = connected(&client).await;
    assert_eq!(within("an answer", socket.emit_with_ack("echo", 3)).await, Ok(3));
    assert!(tunnels.load(Ordering::Relaxed) > 0);
    client.close().await;
    serving.abort();
}

#[tokio::test]
async fn cookies_come_back_with_the_next_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        [(); 2].map(|()| {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut cookie = None;
            #[expect(clippy::result_large_err, reason = "tungstenite's own type")]
            let look = |request: &Request, mut response: Response| {
                cookie = request.headers().get("cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
                response.headers_mut().insert("set-cookie", "node=7; HttpOnly".parse().unwrap());
                Ok(response)
            };
            // The first connection is lost here.
            drop(tungstenite::accept_hdr(stream, look).unwrap());
            cookie
        })
    });
    let client = Client::builder(&format!("http://{address}"))
        .transports([TransportKind::WebSocket])
        .reconnection(quickly())
        .build()
        .unwrap();
    client.of("/");
    let cookies = tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
    assert_eq!(cookies, [None, Some("node=7".to_owned())]);
    client.close().await;
}

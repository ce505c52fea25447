//! Entering namespaces: credentials, refusals in both protocols, unknown names, deadlines.

mod sio_support;

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use sio_support::{Log, ended, logged, logged_with, raw, serve, settle};
use trunkline::testing::{Client, Connect, End, Error};
use trunkline::{
    Admission, Auth, Binary, Data, ExactlyOnce, Extension, Handshake, Io, Recovery, Refusal, Reply, Socket,
    State,
};

#[derive(Deserialize)]
struct Token {
    token: String,
}

async fn by_token(admission: Admission, Auth(auth): Auth<Token>) -> Result<(), Refusal> {
    if auth.token != "open sesame" {
        return Err(Refusal::new("not authorized").data(json!({ "code": 7 })));
    }
    admission.insert(auth.token.len());
    Ok(())
}

fn refused(message: &str, data: Option<serde_json::Value>) -> Error {
    Error::Refused { message: message.into(), data }
}

#[tokio::test]
async fn a_check_sees_the_credentials_and_passes_data_to_the_socket() {
    let (io, log) = logged();
    io.of("/").check(by_token).on_connect(
        async |socket: Socket,
               Extension(n): Extension<usize>,
               Auth(auth): Auth<Token>,
               State(log): State<Log>| {
            let again: Token = socket.auth().expect("the same");
            log.say(format!("{n} {} {}", auth.token, again.token));
        },
    );
    let client = Client::connect(&io, "/", Some(json!({ "token": "open sesame" }))).await.unwrap();
    assert_eq!(client.id().as_str().len(), 20);
    assert_eq!(log.next().await, "11 open sesame open sesame");
}

#[tokio::test]
async fn a_refusal_carries_message_and_data_and_keeps_the_connection() {
    let (io, _) = logged();
    io.of("/").check(by_token);
    let bystander = Client::connect(&io, "/", Some(json!({ "token": "open sesame" }))).await.unwrap();
    let wrong = bystander.enter("/other", None).await;
    assert_eq!(wrong.err(), Some(refused("Invalid namespace", None)));
    let wrong = Client::connect(&io, "/", Some(json!({ "token": "no" }))).await;
    assert_eq!(wrong.err(), Some(refused("not authorized", Some(json!({ "code": 7 })))));
    assert_eq!(io.of("/").socket_count(), 1);
    io.of("/other");
    bystander.enter("/other", None).await.expect("exists now");
}

#[tokio::test]
async fn credentials_of_another_shape_are_refused_and_the_hook_is_told() {
    let (io, log) = logged();
    io.of("/").check(by_token);
    let Err(Error::Refused { message, data: None }) = Client::connect(&io, "/", Some(json!({}))).await else {
        panic!("admitted")
    };
    assert!(message.contains("token"), "{message}");
    assert!(log.next().await.starts_with("error in check: auth: missing field `token`"));
}

#[tokio::test]
async fn checks_run_in_order_and_the_first_refusal_counts() {
    let (io, log) = logged();
    io.of("/")
        .check(async |State(log): State<Log>| {
            log.say("first");
            tokio::task::yield_now().await;
            Ok::<_, String>(())
        })
        .check(async |State(log): State<Log>| {
            log.say("second");
            Err("here")
        })
        .check(async |State(log): State<Log>| {
            log.say("third");
            Err("too late")
        });
    assert_eq!(Client::connect(&io, "/", None).await.err(), Some(refused("here", None)));
    assert_eq!(log.now(), ["first", "second"]);
}

#[tokio::test]
async fn a_check_that_panics_refuses_and_the_hook_is_told() {
    let (io, log) = logged();
    io.of("/").check(async |admission: Admission| {
        assert!(admission.auth::<serde_json::Value>().is_some(), "boom");
        Ok::<_, String>(())
    });
    assert_eq!(Client::connect(&io, "/", None).await.err(), Some(refused("internal error", None)));
    assert_eq!(log.next().await, "panic in check: the handler panicked");
    Client::connect(&io, "/", Some(json!({}))).await.expect("the server lives");
}

#[tokio::test]
async fn the_handshake_is_there_for_checks_and_handlers() {
    let (io, log) = logged();
    io.of("/").check(async |handshake: Handshake| {
        if handshake.query_param("room").as_deref() == Some("a b") { Ok(()) } else { Err("no room") }
    });
    io.of("/").on_connect(async |socket: Socket, State(log): State<Log>| {
        let cookie = socket.handshake().cookie("who").unwrap_or("nobody").to_owned();
        log.say(format!("{cookie} {} {}", socket.protocol(), socket.transport().as_str()));
    });
    let connect = || Connect::new().query("room", "a%20b").header("Cookie", "a=b; who=ann");
    let _client = connect().to(&io, "/", None).await.unwrap();
    assert_eq!(log.next().await, "ann 4 websocket");
    assert_eq!(Client::connect(&io, "/", None).await.err(), Some(refused("no room", None)));
}

#[tokio::test]
async fn protocol_5_answers_in_its_words() {
    let (io, _) = logged();
    io.of("/").check(by_token);
    let server = serve(&io, 1);
    let (mut ws, _) = raw(&server, 4).await;
    ws.send("40{\"token\":\"no\"}").await;
    assert_eq!(ws.text().await, "44{\"message\":\"not authorized\",\"data\":{\"code\":7}}");
    ws.send("40/x,").await;
    assert_eq!(ws.text().await, "44/x,{\"message\":\"Invalid namespace\"}");
    ws.send("40{\"token\":\"open sesame\"}").await;
    let connected = ws.text().await;
    assert!(connected.starts_with("40{\"sid\":\"") && connected.len() == 10 + 20 + 2, "{connected}");
}

#[tokio::test]
async fn protocol_4_enters_the_root_by_itself_and_is_refused_in_its_words() {
    let (io, log) = logged_with(|builder| builder.allow_eio3(true));
    io.of("/").on_connect(async |socket: Socket, State(log): State<Log>| log.say(socket.id().as_str()));
    io.of("/admin").check(by_token).on_connect(
        async |socket: Socket, auth: Option<Auth<Token>>, State(log): State<Log>| {
            log.say(format!("{} {}", socket.id(), auth.map_or_else(String::new, |a| a.0.token)));
        },
    );
    io.of("/bare").check(async || Err("go away"));
    let server = serve(&io, 1);
    let (mut ws, open) = raw(&server, 3).await;
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap();
    assert_eq!(ws.text().await, "40");
    assert_eq!(log.next().await, sid, "the id those clients compute");
    ws.send("40/admin?token=no,").await;
    assert_eq!(ws.text().await, "44/admin,{\"code\":7}");
    ws.send("40/bare,").await;
    assert_eq!(ws.text().await, "44/bare,\"go away\"");
    ws.send("40/none").await;
    assert_eq!(ws.text().await, "44/none,{\"message\":\"Invalid namespace\"}");
    ws.send("40/admin?token=open%20sesame").await;
    assert_eq!(ws.text().await, "40/admin,");
    assert_eq!(log.next().await, format!("/admin#{sid} open sesame"));
}

#[tokio::test]
async fn who_enters_no_namespace_in_time_is_closed() {
    let (io, _) = logged_with(|builder| builder.connect_timeout(Duration::from_millis(50)));
    io.of("/no").check(async || Err("no"));
    let server = serve(&io, 1);
    let (mut silent, _) = raw(&server, 4).await;
    let (mut refused, _) = raw(&server, 4).await;
    refused.send("40/no,").await;
    assert_eq!(refused.text().await, "44/no,{\"message\":\"no\"}");
    ended(&mut silent).await;
    ended(&mut refused).await;
}

#[tokio::test]
async fn who_has_entered_has_no_connect_deadline() {
    let (io, log) = logged_with(|builder| builder.connect_timeout(Duration::from_millis(20)));
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    tokio::time::timeout(Duration::from_millis(100), client.recv()).await.expect_err("nothing comes");
    assert!(io.socket(client.id()).is_some() && log.now().is_empty());
    client.close();
}

#[tokio::test]
async fn a_client_enters_at_most_so_many_namespaces() {
    let (io, _) = logged_with(|builder| builder.max_namespaces(2));
    io.of_pattern("/n-{n}");
    let client = Client::connect(&io, "/n-1", None).await.unwrap();
    let second = client.enter("/n-2", None).await.unwrap();
    assert_eq!(client.enter("/n-3", None).await.err(), Some(refused("Too many namespaces", None)));
    assert_eq!(io.metrics().entries_refused, [("auth", 0), ("count", 1), ("name", 0)]);
    second.disconnect();
    client.enter("/n-3", None).await.expect("there is room again");
}

#[tokio::test]
async fn what_is_sent_with_connect_has_at_most_16_kib() {
    let (io, _) = logged();
    let auth = |bytes: usize| Some(json!({ "token": "x".repeat(bytes) }));
    Client::connect(&io, "/", auth(16_000)).await.expect("fits");
    assert_eq!(
        Client::connect(&io, "/", auth(17_000)).await.err(),
        Some(refused("Auth payload too large", None))
    );
    assert_eq!(io.metrics().entries_refused, [("auth", 1), ("count", 0), ("name", 0)]);
}

#[tokio::test]
async fn ids_differ_per_namespace_and_are_found_there_only() {
    let io = Io::new();
    io.of("/a");
    let root = Client::connect(&io, "/", None).await.unwrap();
    let a = root.enter("/a", None).await.unwrap();
    assert_ne!(root.id(), a.id());
    assert!(io.socket(root.id()).is_some() && io.socket(a.id()).is_none());
    assert!(io.of("a").socket(a.id()).is_some());
    assert_eq!(io.session_count(), 1);
}

#[tokio::test]
async fn a_client_that_goes_while_it_is_checked_never_connects() {
    let (io, log) = logged();
    io.of("/slow").check(async |State(log): State<Log>| {
        log.say("checking");
        std::future::pending::<()>().await;
        Ok::<_, String>(())
    });
    io.of("/slow").on_connect(async |State(log): State<Log>| log.say("connected"));
    let client = Client::connect(&io, "/", None).await.unwrap();
    client.send_text("0/slow,");
    assert_eq!(log.next().await, "checking");
    client.close();
    trunkline_testkit::eventually("the session to end", || io.session_count() == 0).await;
    settle().await;
    assert!(log.now().is_empty());
}

#[tokio::test]
async fn a_closed_server_takes_no_client() {
    let io = Io::new();
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    io.close().await;
    assert_eq!(client.ended().await, Ok(End::Connection));
    assert_eq!(Client::connect(&io, "/", None).await.err(), Some(Error::Closed));
}

#[tokio::test]
async fn times_may_be_as_long_as_there_are() {
    let ever = Duration::MAX;
    let builder = Io::builder().shards(1).connect_timeout(ever).attachments_timeout(ever).ack_timeout(ever);
    let builder = builder.ping_interval(ever).ping_timeout(ever).upgrade_timeout(ever).close_timeout(ever);
    let io = builder.post_timeout(ever).recovery(Recovery::memory().max_disconnection(ever)).build();
    io.of("/")
        .exactly_once(ExactlyOnce::new().keep(ever))
        .on("echo", async |Data(data): Data<Binary>| Reply(data));
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let sent = Binary::from(vec![1, 2, 3]);
    assert_eq!(client.emit_with_ack::<Binary>("echo", &sent).await, Ok(sent));
    let asked = tokio::spawn(io.socket(client.id()).unwrap().emit_with_ack::<u8>("q", ()));
    client.recv().await.unwrap().answer(4).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(4));
    let pid = client.private_id().unwrap().to_owned();
    client.cut();
    let mut back = Client::connect(&io, "/", Some(json!({ "pid": pid }))).await.unwrap();
    assert_eq!(back.private_id(), Some(&*pid));
    let closing = tokio::spawn(async move { io.close().await });
    assert_eq!(back.ended().await, Ok(End::Connection));
    closing.await.unwrap();
}

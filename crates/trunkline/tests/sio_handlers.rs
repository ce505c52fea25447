//! Handlers: which run, in what order, with which arguments; and what becomes of those that fail.

mod sio_support;

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sio_support::{Log, log_disconnects, logged, logged_with};
use trunkline::testing::Client;
use trunkline::{
    Ack, Args, Auth, Data, DisconnectReason, EventName, Extension, ExtractError, HandlerError, Io, Reply,
    Socket, State,
};
use trunkline_testkit::eventually;

async fn ask(client: &Client, event: &str, args: impl Serialize) -> Value {
    client.emit_with_ack(event, args).await.unwrap()
}

/// Panics, as a handler that returns `()`.
fn boom(what: &str) {
    assert!(what.is_empty(), "{what}");
}

fn error(message: &str) -> Value {
    json!({ "error": { "message": message } })
}

#[derive(Deserialize, Serialize, Clone, PartialEq, Debug)]
struct Post {
    room: String,
    text: String,
}

#[tokio::test]
async fn extractors_give_what_the_types_say() {
    let (io, log) = logged();
    io.of("/")
        .on("none", async || {})
        .on("one", async |Data(post): Data<Post>| Reply(post))
        .on("two", async |Data(a): Data<i32>, Data(b): Data<i32>| Reply(a - b))
        .on("option", async |Data(a): Data<Option<i32>>, Data(b): Data<Option<i32>>| Reply(vec![a, b]))
        .on("all", async |Args((a, b)): Args<(String, u8)>| Reply(Args((b, a))))
        .on("rest", async |Data(a): Data<u8>, Args(rest): Args<Vec<u8>>| Reply((a, rest)))
        .on("list", async |Args(all): Args<Vec<Value>>| Reply(all.len()))
        .on("name", async |EventName(name): EventName| Reply(name))
        .on("auth", async |auth: Option<Auth<Post>>| Reply(auth.is_some()))
        .on("why", async |data: Result<Data<u8>, ExtractError>| Reply(data.is_err()))
        .on("maybe", async |data: Option<Data<u8>>| Reply(data.map(|d| d.0)))
        .on("state", async |_: Socket, log: Option<State<Log>>, none: Option<State<u8>>| {
            Reply((log.is_some(), none.is_some()))
        })
        .on("extension", async |socket: Socket, before: Option<Extension<u32>>| {
            socket.insert(9u32);
            Reply(before.map(|e| e.0))
        })
        .on("io", async |io: Io, socket: Socket| Reply(io.socket(socket.id()).is_some()));
    let client = Client::connect(&io, "/", None).await.unwrap();
    let post = Post { room: "a".into(), text: "b".into() };
    client.emit_with_ack::<()>("none", ()).await.unwrap();
    client.emit_with_ack::<()>("none", Args((1, 2))).await.expect("arguments too many are left");
    assert_eq!(ask(&client, "one", &post).await, json!(post));
    assert_eq!(ask(&client, "two", Args((5, 3))).await, 2);
    assert_eq!(ask(&client, "option", Args((1,))).await, json!([1, null]));
    assert_eq!(ask(&client, "option", ()).await, json!([null, null]));
    let Args((b, a)): Args<(u8, String)> = client.emit_with_ack("all", Args(("x", 7))).await.unwrap();
    assert_eq!((a.as_str(), b), ("x", 7));
    assert_eq!(ask(&client, "rest", Args((1, 2, 3))).await, json!([1, [2, 3]]));
    assert_eq!(ask(&client, "list", ()).await, 0);
    assert_eq!(ask(&client, "list", Args((1, "x", [1]))).await, 3);
    assert_eq!(ask(&client, "name", ()).await, "name");
    assert_eq!(ask(&client, "auth", ()).await, false);
    assert_eq!(ask(&client, "why", "text").await, true);
    assert_eq!(ask(&client, "why", 1).await, false);
    assert_eq!(ask(&client, "maybe", "text").await, Value::Null);
    assert_eq!(ask(&client, "maybe", 1).await, 1);
    assert_eq!(ask(&client, "state", ()).await, json!([true, false]));
    assert_eq!(ask(&client, "extension", ()).await, Value::Null);
    assert_eq!(ask(&client, "extension", ()).await, 9);
    assert_eq!(ask(&client, "io", ()).await, true);
    assert!(log.now().is_empty());
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told_to_the_client_and_the_hook() {
    let (io, log) = logged();
    io.of("/")
        .on("number", async |Data(_): Data<u8>| Reply(1))
        .on("late", async |ack: Ack<u8>, Data(n): Data<u8>| ack.send(n));
    let client = Client::connect(&io, "/", None).await.unwrap();
    for args in [json!("text"), json!({}), json!(256)] {
        assert_eq!(ask(&client, "number", args).await, error("invalid arguments"));
        assert!(log.next().await.starts_with("error in number: u8: "));
    }
    assert_eq!(ask(&client, "number", ()).await, error("invalid arguments"));
    assert_eq!(log.next().await, "error in number: an argument is missing");
    assert_eq!(ask(&client, "late", "text").await, error("invalid arguments"));
    assert!(log.next().await.starts_with("error in late"));
    client.emit("number", "text").unwrap();
    assert!(log.next().await.starts_with("error in number"), "without an ack, too");
    assert_eq!(ask(&client, "number", 1).await, 1);
    assert_eq!(io.metrics().handler_errors, 6);
}

#[tokio::test]
async fn only_a_public_message_reaches_the_client() {
    let (io, log) = logged();
    io.of("/")
        .on("io", async || Err::<(), _>(std::io::Error::other("password is 1234")))
        .on("public", async || Err::<(), _>(HandlerError::public("no such room")))
        .on("data", async || Err::<(), _>(HandlerError::public("full").data(json!({ "limit": 3 }))))
        .on("question", async || {
            let n: u8 = "x".parse()?;
            Ok::<_, HandlerError>(n)
        })
        .on("fine", async || Ok::<_, HandlerError>("fine"));
    let client = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(ask(&client, "io", ()).await, error("internal error"));
    assert_eq!(log.next().await, "error in io: password is 1234");
    assert_eq!(ask(&client, "public", ()).await, error("no such room"));
    let full = ask(&client, "data", ()).await;
    assert_eq!(full, json!({ "error": { "message": "full", "data": { "limit": 3 } } }));
    assert_eq!(ask(&client, "question", ()).await, error("internal error"));
    assert_eq!(ask(&client, "fine", ()).await, "fine");
    assert_eq!(log.now().len(), 3);
}

#[tokio::test]
async fn a_panic_ends_nothing_but_its_call() {
    let (io, log) = logged();
    log_disconnects(io.of("/"))
        .on("now", |_: Socket| {
            assert!(std::hint::black_box(false), "in the part that is not async");
            async {}
        })
        .on("later", async || {
            tokio::task::yield_now().await;
            boom("in the async part");
        })
        .on("taken", async |_ack: Ack<u8>| boom("with the ack in hand"))
        .on("two", async || boom("one of two"))
        .on("two", async || Reply("the other"))
        .on("live", async || {});
    let client = Client::connect(&io, "/", None).await.unwrap();
    for (event, answer) in [
        ("now", error("internal error")),
        ("later", error("internal error")),
        ("taken", error("not answered")),
        ("two", error("internal error")),
    ] {
        assert_eq!(ask(&client, event, ()).await, answer);
        assert_eq!(log.next().await, format!("panic in {event}: the handler panicked"));
    }
    client.emit_with_ack::<()>("live", ()).await.unwrap();
    assert_eq!((io.metrics().handler_panics, io.metrics().violations), (4, 0));
}

#[tokio::test]
async fn a_panic_while_arguments_are_decoded_ends_nothing_but_its_call() {
    struct Bomb;
    impl<'de> Deserialize<'de> for Bomb {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("boom")
        }
    }
    let (io, log) = logged();
    io.of("/").on("bomb", async |_: Data<Bomb>| {});
    let client = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(ask(&client, "bomb", 1).await, error("internal error"));
    assert_eq!(log.next().await, "panic in bomb: the handler panicked");
}

#[tokio::test]
async fn panics_in_hooks_and_lifecycle_handlers_end_nothing() {
    let io = Io::builder().shards(1).on_error(|_| panic!("in the error hook")).build();
    io.of("/")
        .on_connect(async || boom("on connect"))
        .on_any(async || boom("on any"))
        .on_any_outgoing(|_| panic!("on any outgoing"))
        .on_room_event(|_| panic!("on a room event"))
        .on_disconnecting(async || boom("disconnecting"))
        .on_disconnect(async || boom("disconnect"))
        .on("join", async |socket: Socket| {
            socket.join("r");
            socket.emit("joined", 1)
        });
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    client.emit_with_ack::<()>("join", ()).await.unwrap();
    assert_eq!(client.recv_event::<u8>("joined").await.unwrap(), 1);
    client.close();
    eventually("the end", || io.session_count() == 0).await;
    assert!(io.of("/").rooms().is_empty());
}

#[tokio::test]
async fn listeners_run_in_order_and_the_first_answer_counts() {
    let (io, log) = logged();
    io.of("/")
        .on("x", async |State(log): State<Log>, _: Option<Ack<u8>>| {
            tokio::task::yield_now().await;
            log.say("one");
        })
        .on("y", async |State(log): State<Log>| {
            tokio::task::yield_now().await;
            log.say("one");
            Reply(1)
        })
        .on("y", async |State(log): State<Log>| {
            log.say("two");
            Reply(2)
        })
        .on_connect(async |socket: Socket| {
            socket.on("y", async |State(log): State<Log>| {
                log.say("own");
                Reply(3)
            });
        });
    let client = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(ask(&client, "y", ()).await, 1);
    assert_eq!(log.take(3).await, ["one", "two", "own"]);
    assert_eq!(ask(&client, "x", ()).await, error("not answered"));
}

#[tokio::test]
async fn listeners_of_one_socket_come_and_go() {
    let (io, log) = logged();
    io.of("/")
        .on("listen", async |socket: Socket| {
            socket.on("x", async |State(log): State<Log>| log.say("on"));
            socket.once("x", async |State(log): State<Log>| log.say("once"));
        })
        .on("stop", async |socket: Socket| socket.off("x"))
        .on("live", async || {});
    let client = Client::connect(&io, "/", None).await.unwrap();
    let other = Client::connect(&io, "/", None).await.unwrap();
    client.emit("listen", ()).unwrap();
    client.emit("x", ()).unwrap();
    client.emit("x", ()).unwrap();
    client.emit("stop", ()).unwrap();
    client.emit("x", ()).unwrap();
    client.emit_with_ack::<()>("live", ()).await.unwrap();
    other.emit("x", ()).unwrap();
    other.emit_with_ack::<()>("live", ()).await.unwrap();
    assert_eq!(log.now(), ["on", "once", "on"]);
}

#[tokio::test]
async fn handlers_of_a_namespace_are_removed_for_all() {
    let (io, _) = logged();
    io.of("/").on("x", async || Reply(1));
    let client = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(ask(&client, "x", ()).await, 1);
    io.of("/").off("x").on("x", async || Reply(2));
    assert_eq!(ask(&client, "x", ()).await, 2);
}

#[tokio::test]
async fn catch_all_handlers_run_first_and_a_refusal_stops_the_event() {
    let (io, log) = logged();
    io.of("/")
        .on_any(async |EventName(name): EventName, Args(args): Args<Vec<Value>>, State(log): State<Log>| {
            log.say(format!("any {name} {}", args.len()));
            Reply("catch-all handlers do not answer")
        })
        .before(async |EventName(name): EventName, State(log): State<Log>| {
            log.say("before");
            if name == "forbidden" { Err(HandlerError::public("forbidden")) } else { Ok(()) }
        })
        .before(async |State(log): State<Log>| log.say("second"))
        .on("x", async |State(log): State<Log>| {
            log.say("x");
            Reply("done")
        })
        .on("forbidden", async |State(log): State<Log>| log.say("must not run"))
        .on_connect(async |socket: Socket| {
            socket.once("forbidden", async |State(log): State<Log>| log.say("must not run"));
        });
    let client = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(ask(&client, "x", Args((1, 2))).await, "done");
    assert_eq!(log.take(4).await, ["any x 2", "before", "second", "x"]);
    assert_eq!(ask(&client, "forbidden", ()).await, error("forbidden"));
    assert_eq!(log.take(3).await, ["any forbidden 0", "before", "error in forbidden: forbidden"]);
    client.emit("unknown", ()).unwrap();
    assert_eq!(log.take(3).await, ["any unknown 0", "before", "second"]);
}

#[tokio::test]
async fn outgoing_events_are_told_once_with_their_arguments() {
    let (io, log) = logged();
    let hook = log.clone();
    io.of("/").on_any_outgoing(move |out| {
        let args: Option<Vec<Value>> = out.args();
        hook.say(format!("{} {:?} {}", out.event(), out.receivers(), json!(args)));
    });
    let client = Client::connect(&io, "/", None).await.unwrap();
    io.socket(client.id()).unwrap().emit("one", (1, 2)).unwrap();
    io.to(["a", "b"]).emit("many", Args((1, "x"))).unwrap();
    io.emit("binary", trunkline::Binary(b"\x01".as_slice().to_vec().into())).unwrap();
    let lines = log.now();
    assert_eq!(lines[0], format!("one Socket(SocketId({})) [[1,2]]", client.id()));
    assert_eq!(lines[1], "many Rooms([\"a\", \"b\"]) [1,\"x\"]");
    assert!(lines[2].starts_with("binary Rooms([]) ["), "{}", lines[2]);
    assert_eq!(lines.len(), 3);
}

#[test]
#[should_panic(expected = "asks for State<u8>")]
fn a_state_that_nobody_gave_is_told_at_registration() {
    Io::new().of("/").on("x", async |_: State<u8>| {});
}

#[test]
#[should_panic(expected = "is no event that clients send")]
fn a_reserved_name_cannot_be_listened_to() {
    Io::new().of("/").on("disconnect", async || {});
}

#[tokio::test]
async fn reserved_names_cannot_be_emitted() {
    let (io, _) = logged();
    let client = Client::connect(&io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert!(matches!(socket.emit(name, ()), Err(trunkline::EmitError::Encode(_))), "{name}");
        assert!(io.emit(name, ()).is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_runtime_of_ones_own_runs_the_handlers() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("handlers")
        .enable_all()
        .build()
        .unwrap();
    let log = Log::default();
    let hook = log.clone();
    let io = Io::builder()
        .shards(1)
        .state(log.clone())
        .handlers_on(runtime.handle().clone())
        .on_error(move |failure| hook.say(format!("{} {}", failure.event, failure.panicked)))
        .build();
    io.of("/")
        .on("where", async || {
            tokio::task::yield_now().await;
            Reply(std::thread::current().name().unwrap_or_default().to_owned())
        })
        .on("panic", async || boom("there"))
        .on("own", async |socket: Socket| {
            let answer: u8 = socket.emit_with_ack("question", ()).await?;
            Ok::<_, HandlerError>(answer + 1)
        })
        .on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| log.say(reason.as_str()));
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(ask(&client, "where", ()).await, "handlers");
    assert_eq!(ask(&client, "panic", ()).await, error("internal error"));
    assert_eq!(log.next().await, "panic true");
    let answer = client.emit_with_ack::<u8>("own", ());
    client.recv().await.unwrap().answer(4).unwrap();
    assert_eq!(answer.await.unwrap(), 5);
    client.close();
    assert_eq!(log.next().await, "transport close");
    runtime.shutdown_background();
}

/// What blocking work waits for.
#[derive(Clone)]
struct Go(Arc<Mutex<std::sync::mpsc::Receiver<u8>>>);

/// On the test's one thread: work that held it would wait for ever.
#[tokio::test]
async fn blocking_work_holds_up_nobody_else_and_its_panic_ends_that_call() {
    let (go, gone) = std::sync::mpsc::channel();
    let (io, log) = logged_with(|builder| builder.state(Go(Arc::new(Mutex::new(gone)))));
    io.of("/")
        .on("work", async |State(Go(gone)): State<Go>| {
            Reply(trunkline::blocking(move || gone.lock().unwrap().recv().unwrap()).await)
        })
        .on("panic", async || trunkline::blocking(|| boom("on a thread of the pool")).await)
        .on("live", async || {});
    let busy = Client::connect(&io, "/", None).await.unwrap();
    let other = Client::connect(&io, "/", None).await.unwrap();
    let answer = busy.emit_with_ack::<u8>("work", ());
    eventually("the work", || io.metrics().packets_in == 3).await;
    assert_eq!(ask(&other, "panic", ()).await, error("internal error"));
    assert_eq!(log.next().await, "panic in panic: the handler panicked");
    other.emit_with_ack::<()>("live", ()).await.unwrap();
    go.send(7).unwrap();
    assert_eq!(answer.await, Ok(7));
    assert_eq!((io.metrics().handler_panics, io.metrics().slow_handlers), (1, 0));
}

//! Events and acknowledgements in both directions, with all shapes of arguments and both parsers.

mod support;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use support::{builder, serve};
use tokio::sync::mpsc;
use trunkline::Io;
use trunkline_client::{
    Ack, AckError, Args, Binary, Client, Data, EmitError, EventName, HandlerError, Reply, Socket, State,
    Value,
};
use trunkline_testkit::within;

/// What handlers tell the test.
#[derive(Clone)]
struct Told(mpsc::UnboundedSender<String>);

impl Told {
    fn channel() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    fn say(&self, text: impl Into<String>) {
        drop(self.0.send(text.into()));
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Post {
    text: String,
    image: Binary,
    #[serde(flatten)]
    more: More,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct More {
    thumbnails: Vec<Binary>,
    size: Option<(u32, u32)>,
}

fn post() -> Post {
    Post {
        text: "h\u{e9} \"quoted\"".into(),
        image: vec![0, 255, 1].into(),
        more: More {
            thumbnails: vec![vec![1].into(), vec![].into(), vec![2; 70_000].into()],
            size: Some((3, 4)),
        },
    }
}

/// A server that gives back what it gets.
fn echo(msgpack: bool) -> Io {
    let io = if msgpack { Io::builder().msgpack() } else { Io::builder() }.shards(1).build();
    io.of("/").on("echo", async |Args(all): Args<Vec<Value>>| trunkline::Reply(Args(all)));
    io.of("/").on("ask me", async |socket: trunkline::Socket, Args(all): Args<Vec<Value>>| {
        let answer = socket.emit_with_ack::<Value>("asked", Args(all)).await;
        trunkline::Reply(answer.map_err(|error| error.to_string()))
    });
    io
}

async fn connected(client: &Client) -> Socket {
    let socket = client.of("/");
    within("the connection", socket.connected()).await.expect("connects");
    socket
}

#[tokio::test]
async fn arguments_of_every_shape_come_back_with_both_parsers() {
    for msgpack in [false, true] {
        let server = serve(&echo(msgpack));
        let builder = builder(&server);
        let client = if msgpack { builder.msgpack() } else { builder }.build().unwrap();
        let socket = connected(&client).await;
        assert_eq!(socket.emit_with_ack::<Post>("echo", &post()).await.unwrap(), post());
        let Args((number, text, bytes)) = socket
            .emit_with_ack::<Args<(i64, String, Binary)>>("echo", Args((-7, "x", Binary::from(vec![9]))))
            .await
            .unwrap();
        assert_eq!((number, &*text, &*bytes), (-7, "x", &[9][..]));
        socket.emit_with_ack::<()>("echo", ()).await.unwrap();
        assert_eq!(socket.emit_with_ack::<Option<u8>>("echo", None::<u8>).await.unwrap(), None);
        assert_eq!(socket.emit_with_ack::<Vec<u8>>("echo", vec![1, 2]).await.unwrap(), [1, 2]);
        let wrong = socket.emit_with_ack::<Post>("echo", 5).await;
        assert!(matches!(wrong, Err(AckError::Decode(_))), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_handler_answers_the_server_with_what_it_returns() {
    for msgpack in [false, true] {
        let server = serve(&echo(msgpack));
        let builder = builder(&server);
        let client = if msgpack { builder.msgpack() } else { builder }.build().unwrap();
        let socket = connected(&client).await;
        socket.on("asked", async |Data(post): Data<Post>| Reply(post));
        assert_eq!(
            socket.emit_with_ack::<serde_json::Value>("ask me", 1).await.unwrap(),
            json!({"Ok": {"error": {"message": "invalid arguments"}}})
        );
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "Ok")]
            ok: Post,
        }
        assert_eq!(socket.emit_with_ack::<Answer>("ask me", &post()).await.unwrap().ok, post());
    }
}

#[tokio::test]
async fn the_ways_to_answer() {
    let server = serve(&echo(false));
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    let asked = async |socket: &Socket| {
        within("an answer", socket.emit_with_ack::<serde_json::Value>("ask me", "x")).await.unwrap()
    };

    socket.on("asked", async || {});
    assert_eq!(asked(&socket).await, json!({"Ok": []}));
    socket
        .off("asked")
        .on("asked", async |Data(text): Data<String>, ack: Ack<String>| ack.send(text + "!").unwrap());
    assert_eq!(asked(&socket).await, json!({"Ok": "x!"}));
    socket.off("asked").on("asked", async |ack: Ack<String>| drop(ack));
    assert_eq!(asked(&socket).await, json!({"Ok": {"error": {"message": "not answered"}}}));
    socket
        .off("asked")
        .on("asked", async || -> Result<u8, HandlerError> { Err(HandlerError::public("no").data(7)) });
    assert_eq!(asked(&socket).await, json!({"Ok": {"error": {"message": "no", "data": 7}}}));
    socket
        .off("asked")
        .on("asked", async || -> Result<u8, std::num::ParseIntError> { "secret".parse::<u8>() });
    assert_eq!(asked(&socket).await, json!({"Ok": {"error": {"message": "internal error"}}}));
    // Several handlers: the first answer counts.
    socket.off("asked").on("asked", async || Reply(1)).on("asked", async || Reply(2));
    assert_eq!(asked(&socket).await, json!({"Ok": 1}));
}

#[tokio::test]
async fn on_once_off_and_catch_all() {
    let (told, mut lines) = Told::channel();
    let server = serve(&echo(false));
    let client = builder(&server).state(told).build().unwrap();
    let socket = connected(&client).await;
    socket
        .on("asked", async |State(told): State<Told>| told.say("on"))
        .once("asked", async |State(told): State<Told>| told.say("once"))
        .on_any(
            async |EventName(name): EventName, Args(args): Args<Vec<Value>>, State(told): State<Told>| {
                told.say(format!("any {name} {}", args.len()));
            },
        );
    let emit =
        async || within("an answer", socket.emit_with_ack::<Value>("ask me", Args((1, 2)))).await.unwrap();
    emit().await;
    emit().await;
    socket.off_any();
    emit().await;
    socket.off("asked").on("asked", async |State(told): State<Told>| told.say("last"));
    emit().await;
    client.close().await;
    drop((socket, client));
    let mut all = Vec::new();
    while let Some(line) = lines.recv().await {
        all.push(line);
    }
    assert_eq!(all, ["any asked 2", "on", "once", "any asked 2", "on", "on", "last"]);
}

#[tokio::test]
async fn outgoing_events_are_shown_once_they_leave() {
    let (told, mut lines) = Told::channel();
    let server = serve(&echo(false));
    let client = builder(&server).build().unwrap();
    let socket = client.socket("/").build();
    socket.on_any_outgoing(move |outgoing| {
        told.say(format!(
            "{} {:?}",
            outgoing.event(),
            outgoing.args::<Args<(u8, Binary)>>().map(|args| args.0)
        ));
    });
    socket.emit("echo", Args((1, Binary::from(vec![2])))).unwrap();
    assert!(lines.try_recv().is_err());
    socket.connect();
    assert_eq!(within("the event", lines.recv()).await.unwrap(), "echo Some((1, Binary(b\"\\x02\")))");
    socket.off_any_outgoing();
    within("an answer", socket.emit_with_ack::<Value>("echo", 1)).await.unwrap();
    assert!(lines.try_recv().is_err());
}

#[tokio::test]
async fn events_as_a_stream_can_be_answered_too() {
    let server = serve(&echo(false));
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    let mut events = socket.events();
    let answer = socket.emit_with_ack::<serde_json::Value>("ask me", Args((5, "x")));
    let event = within("an event", events.next()).await.unwrap();
    assert_eq!((event.name(), event.is_answer_wanted()), ("asked", true));
    assert_eq!(event.data::<u8>().unwrap(), 5);
    assert_eq!(event.data::<Args<(u8, String)>>().unwrap().0.1, "x");
    event.answer(&"mine").unwrap();
    event.answer(&"too late").unwrap();
    assert_eq!(within("the answer", answer).await.unwrap(), json!({"Ok": "mine"}));
    client.close().await;
    assert!(events.next().await.is_none());
    // As a `Stream`, it works with the ecosystem's combinators.
    let rest: Vec<_> = futures_util::StreamExt::collect(socket.events()).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_slow_stream_loses_the_oldest_and_says_so() {
    let io = Io::builder().shards(1).build();
    io.of("/").on("flood", async |socket: trunkline::Socket| {
        for number in 0..300 {
            socket.emit("number", number).unwrap();
        }
    });
    let server = serve(&io);
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    let mut events = socket.events();
    within("the end of the flood", socket.emit_with_ack::<()>("flood", ())).await.unwrap();
    let first: u32 = events.next().await.unwrap().data().unwrap();
    assert_eq!((first, events.missed()), (44, 44));
}

#[tokio::test]
async fn a_panic_ends_its_call_only_and_is_told() {
    let (told, mut lines) = Told::channel();
    let server = serve(&echo(false));
    let client = builder(&server)
        .on_error(move |failure| told.say(format!("{} {}", failure.event, failure.panicked)))
        .build()
        .unwrap();
    let socket = connected(&client).await;
    socket.on("asked", async |Data(number): Data<u8>| -> Result<u8, HandlerError> {
        assert_ne!(number, 13, "a panic on purpose");
        Ok(number)
    });
    let answer = within("an answer", socket.emit_with_ack::<serde_json::Value>("ask me", 13)).await.unwrap();
    assert_eq!(answer, json!({"Ok": {"error": {"message": "internal error"}}}));
    assert_eq!(within("the hook", lines.recv()).await.unwrap(), "asked true");
    assert_eq!(socket.emit_with_ack::<serde_json::Value>("ask me", 14).await.unwrap(), json!({"Ok": 14}));
}

#[tokio::test]
async fn handlers_run_one_at_a_time_in_order_while_answers_go_on() {
    let (told, mut lines) = Told::channel();
    let io = echo(false);
    io.of("/").on("burst", async |socket: trunkline::Socket| {
        for number in 0..50 {
            socket.emit("number", number).unwrap();
        }
    });
    let server = serve(&io);
    let client = builder(&server).state(told).build().unwrap();
    let socket = connected(&client).await;
    socket.on("number", async |socket: Socket, Data(number): Data<u32>, State(told): State<Told>| {
        told.say(format!("begin {number}"));
        // Waits for the server: another handler would run now if it could.
        let echoed: u32 = socket.emit_with_ack("echo", number).await.unwrap();
        told.say(format!("end {echoed}"));
    });
    socket.emit("burst", ()).unwrap();
    for number in 0..50 {
        assert_eq!(within("a line", lines.recv()).await.unwrap(), format!("begin {number}"));
        assert_eq!(within("a line", lines.recv()).await.unwrap(), format!("end {number}"));
    }
}

#[tokio::test]
async fn more_events_than_may_wait_arrive_all() {
    let (told, mut lines) = Told::channel();
    let io = echo(false);
    io.of("/").on("burst", async |socket: trunkline::Socket| {
        for number in 0..2_000 {
            socket.emit("number", number).unwrap();
        }
    });
    let server = serve(&io);
    let client = builder(&server).state(told).max_pending_events(4).build().unwrap();
    let socket = connected(&client).await;
    socket.on("number", async |Data(number): Data<u32>, State(told): State<Told>| {
        tokio::task::yield_now().await;
        told.say(number.to_string());
    });
    socket.emit("burst", ()).unwrap();
    for number in 0..2_000 {
        assert_eq!(within("a line", lines.recv()).await.unwrap(), number.to_string());
    }
}

#[tokio::test]
async fn an_answer_ends_by_timeout_and_by_disconnect() {
    let io = Io::builder().shards(1).build();
    io.of("/")
        .on("silent", async |ack: trunkline::Ack<u8>| std::mem::forget(ack))
        .on("leave", async |socket: trunkline::Socket| socket.disconnect(false));
    let server = serve(&io);
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    let timeout = socket.timeout(Duration::from_millis(30)).emit_with_ack::<u8>("silent", ());
    assert_eq!(within("the timeout", timeout).await, Err(AckError::Timeout));
    let endless = socket.no_timeout().emit_with_ack::<u8>("silent", ());
    socket.emit("leave", ()).unwrap();
    assert_eq!(within("the disconnect", endless).await, Err(AckError::Disconnected));
    // And by the end of the client.
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    let endless = socket.no_timeout().emit_with_ack::<u8>("silent", ());
    drop((socket, client));
    assert_eq!(within("the end", endless).await, Err(AckError::Disconnected));
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_at_once() {
    let server = serve(&echo(false));
    let client = builder(&server).max_send_buffer(100).build().unwrap();
    let socket = connected(&client).await;
    assert!(matches!(socket.emit("connect", ()), Err(EmitError::Encode(_))));
    let by_key = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(matches!(socket.emit("x", by_key), Err(EmitError::Encode(_))));
    assert_eq!(socket.emit("x", "y".repeat(200)), Err(EmitError::Full));
    assert_eq!(socket.emit_with_ack::<()>("x", "y".repeat(200)).await, Err(AckError::Emit(EmitError::Full)));
    client.close().await;
    assert_eq!(socket.emit("x", ()), Err(EmitError::Closed));
}

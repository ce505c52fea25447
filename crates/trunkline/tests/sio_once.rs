//! Exactly once: a repeated event is answered again and not handled again.

mod sio_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sio_support::{Log, log_disconnects, logged_with, raw, serve, settle};
use tokio::sync::Semaphore;
use trunkline::testing::Client;
use trunkline::{
    Ack, Args, Binary, Data, ExactlyOnce, HandlerError, Io, IoBuilder, Namespace, Recovery, Reply, State,
};
use trunkline_testkit::{eventually, uring, within};

/// How often a handler ran.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicU32>);

impl Runs {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lets handlers go on.
#[derive(Clone)]
struct Gate(Arc<Semaphore>);

fn server(configure: impl FnOnce(IoBuilder) -> IoBuilder) -> (Io, Namespace, Runs, Log) {
    let runs = Runs::default();
    let (io, log) = logged_with(|builder| configure(builder.state(runs.clone())));
    let ns = log_disconnects(io.of("/"))
        .on("post", async |State(runs): State<Runs>| Reply(runs.next()))
        .once_by("post", |post: &Value| post["id"].as_str().map(str::to_owned));
    (io, ns, runs, log)
}

async fn post(client: &Client, id: &str) -> u32 {
    within("the answer", client.emit_with_ack("post", json!({ "id": id }))).await.unwrap()
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer() {
    let (io, ns, runs, _) = server(|builder| builder);
    let client = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!((post(&client, "a").await, post(&client, "b").await), (1, 2));
    assert_eq!((post(&client, "a").await, post(&client, "b").await, post(&client, "a").await), (1, 2, 1));
    assert_eq!((runs.now(), io.metrics().repeats), (2, 3));
    let other = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(post(&other, "a").await, 3, "another session");
    for expected in 4..=5 {
        let answer: u32 = client.emit_with_ack("post", json!({})).await.unwrap();
        assert_eq!(answer, expected, "without a key each is a new one");
    }
    ns.on("other", async |State(runs): State<Runs>| Reply(runs.next()))
        .once_by("other", |post: &Value| post["id"].as_str().map(str::to_owned));
    let answer: u32 = client.emit_with_ack("other", json!({ "id": "a" })).await.unwrap();
    assert_eq!(answer, 6, "another event");
    drop((client, other));
    eventually("memory is given back", || io.metrics().memory == 0).await;
}

#[tokio::test]
async fn the_answer_is_kept_also_where_nobody_asked_for_it() {
    let (io, _, runs, _) = server(|builder| builder);
    let client = Client::connect(&io, "/", None).await.unwrap();
    client.emit("post", json!({ "id": "a" })).unwrap();
    client.emit("post", json!({ "id": "a" })).unwrap();
    assert_eq!((post(&client, "a").await, runs.now()), (1, 1));
}

#[tokio::test]
async fn a_repeat_waits_while_the_first_is_handled() {
    type Held = Arc<std::sync::Mutex<Vec<Ack<u8>>>>;
    let held = Held::default();
    let io = Io::builder().shards(1).state(held.clone()).build();
    io.of("/")
        .on("slow", async |ack: Ack<u8>, State(held): State<Held>| held.lock().unwrap().push(ack))
        .once_by("slow", |key: &u64| *key);
    let client = Client::connect(&io, "/", None).await.unwrap();
    let (first, second) = (client.emit_with_ack::<u8>("slow", 1), client.emit_with_ack::<u8>("slow", 1));
    eventually("the repeat", || io.metrics().repeats == 1).await;
    let ack = held.lock().unwrap().pop().unwrap();
    assert!(held.lock().unwrap().is_empty(), "handled once");
    ack.send(7).unwrap();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (7, 7));
}

#[tokio::test]
async fn errors_and_binary_answers_are_repeated_too() {
    for msgpack in [false, true] {
        let runs = Runs::default();
        let builder = if msgpack { Io::builder().msgpack() } else { Io::builder() };
        let io = builder.shards(1).state(runs.clone()).build();
        io.of("/bin")
            .on("post", async |State(runs): State<Runs>, Data(key): Data<String>| match &*key {
                "bad" => Err(HandlerError::public(format!("no {}", runs.next()))),
                _ => Ok(Args((runs.next(), Binary::from(vec![7; 300]), Binary::from(vec![])))),
            })
            .once_by("post", String::clone);
        let client = Client::connect(&io, "/bin", None).await.unwrap();
        for _ in 0..2 {
            let answer: Value = client.emit_with_ack("post", "bad").await.unwrap();
            assert_eq!(answer, json!({ "error": { "message": "no 1" } }));
        }
        for _ in 0..2 {
            let answer: Args<(u32, Binary, Binary)> = client.emit_with_ack("post", "good").await.unwrap();
            let Args((run, long, empty)) = answer;
            assert_eq!((run, &long[..], empty.len()), (2, &[7; 300][..], 0));
        }
        assert_eq!(runs.now(), 2);
    }
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let (io, ns, _, _) = server(|builder| builder);
    ns.exactly_once(ExactlyOnce::new().max_keys(2));
    let client = Client::connect(&io, "/", None).await.unwrap();
    for (id, expected) in
        [("a", 1), ("b", 2), ("a", 1), ("c", 3), ("b", 2), ("c", 3), ("a", 4), ("c", 3), ("b", 5)]
    {
        assert_eq!(post(&client, id).await, expected, "{id}");
    }
    let long = "x".repeat(2000);
    let answer: Value = client.emit_with_ack("post", json!({ "id": long })).await.unwrap();
    assert_eq!(answer["error"]["message"], "the event's key is too long");

    let (io, ns, runs, _) = server(|builder| builder);
    ns.on("long", async |State(runs): State<Runs>| {
        runs.next();
        Reply("x".repeat(5000))
    })
    .once_by("long", |key: &u32| *key)
    .exactly_once(ExactlyOnce::new().max_bytes(1000));
    let client = Client::connect(&io, "/", None).await.unwrap();
    let answer: String = client.emit_with_ack("long", 1).await.unwrap();
    assert_eq!(answer.len(), 5000);
    let answer: Value = client.emit_with_ack("long", 1).await.unwrap();
    assert_eq!(answer["error"]["message"], "handled already; the answer was too long to be kept");
    assert_eq!(runs.now(), 1);
    for n in 0..200 {
        post(&client, &n.to_string()).await;
    }
    assert!(io.metrics().memory < 2000, "{}", io.metrics().memory);
}

#[tokio::test]
async fn a_recovered_session_remembers_and_a_new_one_does_not() {
    let (io, _, runs, log) = server(|builder| builder.recovery(Recovery::memory()));
    let client = Client::connect(&io, "/", Some(json!({}))).await.unwrap();
    let auth = json!({ "pid": client.private_id().unwrap() });
    assert_eq!(post(&client, "a").await, 1);
    for _ in 0..2 {
        let client = Client::connect(&io, "/", Some(auth.clone())).await.unwrap();
        assert_eq!(log.next().await, "/: transport close", "the one before");
        assert_eq!((post(&client, "a").await, runs.now()), (1, 1));
    }
    let new = Client::connect(&io, "/", Some(json!({}))).await.unwrap();
    assert_eq!(post(&new, "a").await, 2);
    drop(client);
}

#[tokio::test]
async fn a_client_that_comes_back_gets_the_answer_of_what_still_runs() {
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let runs = Runs::default();
    let io =
        Io::builder().shards(1).recovery(Recovery::memory()).state(gate.clone()).state(runs.clone()).build();
    io.of("/")
        .on("slow", async |State(gate): State<Gate>, State(runs): State<Runs>| {
            gate.0.acquire().await.expect("open").forget();
            Reply(runs.next())
        })
        .once_by("slow", |key: &u32| *key);
    let client = Client::connect(&io, "/", Some(json!({}))).await.unwrap();
    let auth = json!({ "pid": client.private_id().unwrap() });
    client.emit("slow", 1).unwrap();
    eventually("the event", || io.metrics().packets_in == 2).await;
    client.cut();
    eventually("the end", || io.of("/").socket_count() == 0).await;
    let client = Client::connect(&io, "/", Some(auth)).await.unwrap();
    let answer = client.emit_with_ack::<u32>("slow", 1);
    eventually("the repeat", || io.metrics().repeats == 1).await;
    settle().await;
    gate.0.add_permits(9);
    assert_eq!((answer.await.unwrap(), runs.now()), (1, 1));
}

#[tokio::test]
async fn what_is_handled_after_the_end_is_forgotten_like_the_rest() {
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let (io, ns, runs, _) = server(|builder| builder.state(gate.clone()).recovery(Recovery::memory()));
    ns.exactly_once(ExactlyOnce::new().keep(Duration::ZERO)).on_connect(async |State(gate): State<Gate>| {
        gate.0.acquire().await.expect("open").forget();
    });
    let client = Client::connect(&io, "/", None).await.unwrap();
    for n in 0..20 {
        client.emit("post", json!({ "id": n.to_string() })).unwrap();
    }
    eventually("the events", || io.metrics().packets_in == 21).await;
    client.cut();
    eventually("the end", || io.of("/").socket_count() == 0).await;
    gate.0.add_permits(2);
    eventually("they are handled all the same", || runs.now() == 20).await;
    assert!(io.metrics().memory > 0);
    within("those that leave later have them forgotten", async {
        while io.metrics().memory > 0 {
            drop(Client::connect(&io, "/", None).await.unwrap());
            eventually("its end", || io.metrics().sessions == 0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_cannot_come_back_is_forgotten_at_once() {
    let (io, ns, _, _) = server(|builder| builder.recovery(Recovery::memory()));
    let client = Client::connect(&io, "/", None).await.unwrap();
    post(&client, "a").await;
    assert!(io.metrics().memory > 0);
    client.disconnect();
    eventually("it has left", || io.metrics().memory == 0).await;
    let client = Client::connect(&io, "/", None).await.unwrap();
    post(&client, "a").await;
    let socket = ns.socket(client.id()).unwrap();
    client.cut();
    eventually("the end", || ns.socket_count() == 0).await;
    assert!(io.metrics().memory > 0, "it may come back");
    socket.disconnect(false);
    drop(socket);
    eventually("it may not", || io.metrics().memory == 0).await;
}

#[tokio::test]
async fn short_memory_takes_the_keys_of_who_is_gone_the_longest() {
    let (io, ns, runs, _) = server(|builder| builder.recovery(Recovery::memory()).max_memory(10_000));
    let ns = ns
        .on("long", async |State(runs): State<Runs>| Reply(Args((runs.next(), "x".repeat(6000)))))
        .once_by("long", |key: &u32| *key);
    let mut auths = Vec::new();
    for expected in 1..=2 {
        let client = Client::connect(&io, "/", None).await.unwrap();
        let answer: Args<(u32, String)> = client.emit_with_ack("long", 1).await.unwrap();
        assert_eq!(answer.0.0, expected);
        auths.push(json!({ "pid": client.private_id().unwrap() }));
        client.cut();
        eventually("the end", || ns.socket_count() == 0).await;
    }
    ns.to("nobody").emit("n", ()).unwrap();
    eventually("one is given up", || (6000..10_000).contains(&io.metrics().memory)).await;
    for (auth, expected) in auths.into_iter().rev().zip([2, 3]) {
        let client = Client::connect(&io, "/", Some(auth)).await.unwrap();
        let answer: Args<(u32, String)> = client.emit_with_ack("long", 1).await.unwrap();
        assert_eq!(answer.0.0, expected);
        client.cut();
        eventually("the end", || ns.socket_count() == 0).await;
    }
    assert_eq!(runs.now(), 3);
}

#[tokio::test]
async fn ack_ids_are_keys_for_clients_that_say_so() {
    let runs = Runs::default();
    let io = Io::builder().uring(uring()).shards(1).state(runs.clone()).build();
    io.of("/chat")
        .exactly_once(ExactlyOnce::new())
        .on("n", async |State(runs): State<Runs>| Reply(runs.next()));
    let server = serve(&io, 1);
    let (mut plain, _) = raw(&server, 4).await;
    let (mut ours, _) = raw(&server, 4).await;
    for ws in [&mut plain, &mut ours] {
        ws.send("40/chat,").await;
        let connect = ws.text().await;
        assert!(
            connect.starts_with("40/chat,{\"sid\":") && connect.ends_with(",\"once\":true}"),
            "{connect}"
        );
    }
    for n in 1..=2 {
        plain.send("42/chat,5[\"n\"]").await;
        assert_eq!(plain.text().await, format!("43/chat,5[{n}]"), "who says nothing may use an id again");
    }
    ours.send("42/chat,[\"trunkline:keeps-ids\"]").await;
    for _ in 0..3 {
        ours.send("42/chat,5[\"n\"]").await;
        assert_eq!(ours.text().await, "43/chat,5[3]");
    }
    ours.send("42/chat,6[\"n\"]").await;
    assert_eq!(ours.text().await, "43/chat,6[4]");
}

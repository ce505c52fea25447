//! The past of a room for a socket that joins it: in order, before what is new, nothing twice.

use serde_json::{Value, json};
use trunkline::testing::Client;
use trunkline::{Args, Auth, Io, Namespace, Recovery, Rewind, Rewound, Socket};
use trunkline_testkit::within;

fn rig(recovery: Recovery) -> (Io, Namespace) {
    let io = Io::builder().shards(2).build();
    let ns = io.of("/").recovery(recovery);
    (io, ns)
}

async fn connect(io: &Io, ns: &Namespace) -> (Client, Socket) {
    let client = Client::connect(io, "/", None).await.unwrap();
    let socket = ns.socket(client.id()).unwrap();
    (client, socket)
}

/// The first argument of each event up to `end`, and the offset of the last.
async fn until_end(client: &mut Client) -> (Vec<u64>, String) {
    let mut seen = Vec::new();
    loop {
        let event = within("an event", client.recv()).await.unwrap();
        let mut args: Vec<Value> = event.args::<Args<Vec<Value>>>().unwrap().0;
        let offset = args.pop().unwrap().as_str().unwrap().to_owned();
        if event.name() == "end" {
            return (seen, offset);
        }
        seen.push(args[0].as_u64().unwrap());
    }
}

fn emit(ns: &Namespace, room: &str, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|n| ns.to(room).emit("n", n).unwrap());
}

#[tokio::test]
async fn the_past_comes_before_what_is_new() {
    let (io, ns) = rig(Recovery::memory());
    emit(&ns, "lobby", 1..=5);
    emit(&ns, "attic", 90..=95);
    let cases = [
        (Rewind::last(2), vec![4, 5]),
        (Rewind::last(0), vec![]),
        (Rewind::all(), vec![1, 2, 3, 4, 5]),
        (Rewind::since(std::time::UNIX_EPOCH), vec![1, 2, 3, 4, 5]),
        (Rewind::since(std::time::SystemTime::now() + std::time::Duration::from_secs(60)), vec![]),
    ];
    for (rewind, past) in cases {
        let (mut client, socket) = connect(&io, &ns).await;
        let rewound = socket.join_with_history("lobby", rewind);
        assert_eq!(rewound, Rewound { events: past.len(), gap: false }, "{rewind:?}");
        socket.emit("end", ()).unwrap();
        assert_eq!(until_end(&mut client).await.0, past, "{rewind:?}");
        assert!(socket.rooms().iter().any(|room| **room == *"lobby"));
    }
}

#[tokio::test]
async fn nothing_is_missed_or_doubled_while_others_emit() {
    const COUNT: u64 = 2_000;
    let (io, ns) = rig(Recovery::memory());
    let ns = ns.on_connect(async |socket: Socket| {
        socket.join_with_history("lobby", Rewind::all());
    });
    let emitter = {
        let ns = ns.clone();
        std::thread::spawn(move || {
            for n in 0..COUNT {
                ns.to("lobby").emit("n", n).unwrap();
            }
        })
    };
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(&io, "/", None).await.unwrap());
    }
    emitter.join().unwrap();
    ns.to("lobby").emit("end", ()).unwrap();
    for client in &mut clients {
        assert_eq!(until_end(client).await.0, (0..COUNT).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_it_has_got_already_does_not_come_again() {
    let (io, ns) = rig(Recovery::memory());
    let (mut client, socket) = connect(&io, &ns).await;
    socket.join("a");
    ns.to(["a", "b"]).emit("n", 1).unwrap();
    emit(&ns, "b", [2]);
    socket.to("b").emit("n", 3).unwrap();
    ns.to("b").except("a").emit("n", 4).unwrap();
    ns.to("b").except(socket.id()).emit("n", 5).unwrap();
    ns.to("b").except("c").emit("n", 6).unwrap();
    assert_eq!(socket.join_with_history("b", Rewind::all()), Rewound { events: 2, gap: false });
    emit(&ns, "b", [7]);
    assert_eq!(socket.join_with_history("b", Rewind::all()), Rewound::default(), "it is in");
    socket.leave("b");
    emit(&ns, "b", [8]);
    assert_eq!(socket.join_with_history("b", Rewind::all()), Rewound { events: 1, gap: false });
    socket.emit("end", ()).unwrap();
    assert_eq!(until_end(&mut client).await.0, [1, 2, 6, 7, 8]);
}

#[tokio::test]
async fn what_cannot_be_had_is_told() {
    let (io, ns) = rig(Recovery::memory().max_events(3));
    emit(&ns, "lobby", 1..=5);
    for (rewind, gap) in [(Rewind::all(), true), (Rewind::last(9), false), (Rewind::after("nonsense"), true)]
    {
        let (mut client, socket) = connect(&io, &ns).await;
        assert_eq!(socket.join_with_history("lobby", rewind), Rewound { events: 3, gap }, "{rewind:?}");
        ns.to(client.id()).volatile().emit("end", ()).unwrap();
        assert_eq!(until_end(&mut client).await.0, [3, 4, 5]);
    }
    // A namespace without a log.
    let plain = io.of("/plain");
    let client = Client::connect(&io, "/plain", None).await.unwrap();
    let socket = plain.socket(client.id()).unwrap();
    assert_eq!(socket.join_with_history("lobby", Rewind::last(1)), Rewound { events: 0, gap: true });
    assert_eq!(plain.to("lobby").count(), 1, "it has joined all the same");

    // More than half of its send buffer: the latest.
    let io = Io::builder().shards(1).max_send_buffer(20_000).build();
    let ns = io.of("/").recovery(Recovery::memory());
    let text = "x".repeat(3_000);
    (1..=5).for_each(|n: u64| ns.to("lobby").emit("n", Args((n, &text))).unwrap());
    let (mut client, socket) = connect(&io, &ns).await;
    assert_eq!(socket.join_with_history("lobby", Rewind::all()), Rewound { events: 3, gap: true });
    // Nothing was written yet: this thread writes. The next events do not end its connection.
    (6..=7).for_each(|n: u64| ns.to("lobby").emit("n", Args((n, &text))).unwrap());
    let mut seen = Vec::new();
    for _ in 0..5 {
        let event = within("an event", client.recv()).await.unwrap();
        seen.push(event.args::<Args<(u64,)>>().unwrap().0.0);
    }
    assert_eq!(seen, [3, 4, 5, 6, 7]);
    assert!(socket.is_connected());
}

/// An unmodified client says what it has seen in its `auth`.
#[derive(serde::Deserialize)]
struct Wish {
    #[serde(default)]
    seen: Option<String>,
}

#[tokio::test]
async fn a_clients_auth_can_ask_for_it() {
    let (io, ns) = rig(Recovery::memory());
    let ns = ns.on_connect(async |socket: Socket, Auth(wish): Auth<Wish>| {
        let rewind = wish.seen.map_or_else(|| Rewind::last(1), |seen| Rewind::after(&seen));
        socket.join_with_history("lobby", rewind);
    });
    emit(&ns, "lobby", 1..=3);
    let mut first = Client::connect(&io, "/", Some(json!({}))).await.unwrap();
    ns.to("lobby").emit("end", ()).unwrap();
    let (seen, offset) = until_end(&mut first).await;
    assert_eq!(seen, [3]);
    emit(&ns, "lobby", 4..=6);
    let mut second = Client::connect(&io, "/", Some(json!({ "seen": offset }))).await.unwrap();
    ns.to("lobby").emit("end", ()).unwrap();
    assert_eq!(until_end(&mut second).await.0, [4, 5, 6]);
}

#[tokio::test]
async fn who_gets_a_part_of_the_past_gets_the_rest_when_it_comes_back() {
    let (io, ns) = rig(Recovery::memory());
    let ns = ns.on_connect(async |socket: Socket, Auth(wish): Auth<Wish>| {
        let rewind = wish.seen.map_or_else(|| Rewind::last(50), |seen| Rewind::after(&seen));
        assert!(!socket.join_with_history("lobby", rewind).gap);
    });
    emit(&ns, "lobby", 1..=60);
    let mut client = Client::connect(&io, "/", Some(json!({}))).await.unwrap();
    let (mut seen, mut offset) = (Vec::new(), String::new());
    while seen.len() < 20 {
        let event = within("an event", client.recv()).await.unwrap();
        let args = event.args::<Args<(u64, String)>>().unwrap();
        seen.push(args.0.0);
        offset = args.0.1;
    }
    assert_eq!(seen, (11..=30).collect::<Vec<_>>());
    let pid = client.private_id().unwrap().to_owned();
    lose(client, &ns).await;
    let auth = json!({ "pid": pid, "offset": offset, "seen": offset });
    let mut client = Client::connect(&io, "/", Some(auth)).await.unwrap();
    assert_ne!(client.private_id(), Some(&*pid), "the rest would be missing");
    ns.to("lobby").emit("end", ()).unwrap();
    assert_eq!(until_end(&mut client).await.0, (31..=60).collect::<Vec<_>>());
}

/// Loses the connection, and waits until the server knows.
async fn lose(client: Client, ns: &Namespace) {
    let id = client.id().clone();
    client.cut();
    while ns.socket(&id).is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn recovery_after_it_neither_doubles_nor_loses() {
    let (io, ns) = rig(Recovery::memory());
    emit(&ns, "lobby", 1..=3);
    emit(&ns, "attic", 1..=3);
    // An event after it has come: all of the past has come, since it went before.
    let (mut client, socket) = connect(&io, &ns).await;
    assert_eq!(socket.join_with_history("lobby", Rewind::all()).events, 3);
    emit(&ns, "lobby", [4]);
    ns.to("lobby").emit("end", ()).unwrap();
    let (seen, offset) = until_end(&mut client).await;
    assert_eq!(seen, [1, 2, 3, 4]);
    let pid = client.private_id().unwrap().to_owned();
    lose(client, &ns).await;
    emit(&ns, "lobby", [5]);
    ns.to("lobby").emit("end", ()).unwrap();
    let auth = json!({ "pid": pid, "offset": offset });
    let mut client = Client::connect(&io, "/", Some(auth)).await.unwrap();
    assert_eq!(client.private_id(), Some(&*pid), "recovered");
    assert_eq!(until_end(&mut client).await.0, [5]);

    // None has come: part of the past may be lost. It is a new client, and starts again.
    let (client, socket) = connect(&io, &ns).await;
    let pid = client.private_id().unwrap().to_owned();
    assert_eq!(socket.join_with_history("attic", Rewind::all()).events, 3);
    lose(client, &ns).await;
    let client = Client::connect(&io, "/", Some(json!({ "pid": pid, "offset": offset }))).await.unwrap();
    assert_ne!(client.private_id(), Some(&*pid));
    let outcomes = io.metrics().recoveries;
    assert!(outcomes.contains(&("restored", 1)) && outcomes.contains(&("window", 1)), "{outcomes:?}");
}

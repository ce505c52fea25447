//! Recovery: what a client gets that comes back, and what it does not get.

mod sio_support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sio_support::{log_disconnects, logged, logged_with, settle};
use trunkline::testing::{Client, End};
use trunkline::{Args, Durability, Io, Namespace, Recovery, Refusal, Rewind};
use trunkline_testkit::{Polling, TestServer, uring};

/// A client with what it needs to come back.
struct Page {
    client: Client,
    pid: String,
    offset: Option<String>,
    /// Events, each as its arguments without the offset.
    seen: Vec<Vec<Value>>,
}

impl Page {
    async fn open(io: &Io, auth: Value) -> Self {
        let client = Client::connect(io, "/", Some(auth)).await.unwrap();
        let pid = client.private_id().expect("a private id").to_owned();
        Self { client, pid, offset: None, seen: Vec::new() }
    }

    fn auth(&self) -> Value {
        match &self.offset {
            Some(offset) => json!({ "pid": self.pid, "offset": offset }),
            None => json!({ "pid": self.pid }),
        }
    }

    /// Takes what has come so far.
    fn take(&mut self) {
        for event in self.client.received() {
            let mut args: Vec<Value> = event.args::<Args<Vec<Value>>>().unwrap().0;
            let offset = args.pop().and_then(|last| last.as_str().map(str::to_owned));
            self.offset = Some(offset.expect("an offset at the end"));
            self.seen.push(args);
        }
    }

    /// Waits for the event of this name, and takes all before it.
    async fn until(&mut self, name: &str) {
        let event = loop {
            let event = self.client.recv().await.unwrap();
            let mut args: Vec<Value> = event.args::<Args<Vec<Value>>>().unwrap().0;
            self.offset = args.pop().and_then(|last| last.as_str().map(str::to_owned));
            if event.name() == name {
                break args;
            }
            self.seen.push(args);
        };
        drop(event);
    }

    /// Loses the connection, and waits until the server knows.
    async fn lose(self, ns: &Namespace) -> Gone {
        let id = self.client.id().clone();
        let gone = Gone { auth: self.auth(), pid: self.pid, offset: self.offset, seen: self.seen };
        self.client.cut();
        while ns.socket(&id).is_some() {
            tokio::task::yield_now().await;
        }
        gone
    }
}

struct Gone {
    auth: Value,
    pid: String,
    offset: Option<String>,
    seen: Vec<Vec<Value>>,
}

impl Gone {
    async fn back(self, io: &Io) -> Page {
        let client = Client::connect(io, "/", Some(self.auth)).await.unwrap();
        assert_eq!(client.private_id(), Some(&*self.pid), "recovered");
        Page { client, pid: self.pid, offset: self.offset, seen: self.seen }
    }
}

fn recovering(recovery: Recovery) -> (Io, Namespace) {
    let io = Io::builder().shards(2).build();
    let ns = io.of("/").recovery(recovery);
    (io, ns)
}

fn memory() -> (Io, Namespace) {
    recovering(Recovery::memory())
}

fn numbers(seen: &[Vec<Value>]) -> Vec<u64> {
    seen.iter().map(|args| args[0].as_u64().unwrap()).collect()
}

fn outcome(io: &Io, name: &str) -> u64 {
    io.metrics().recoveries.iter().find(|(outcome, _)| *outcome == name).unwrap().1
}

#[tokio::test]
async fn rooms_data_and_missed_events_come_back_in_order() {
    let (io, ns) = memory();
    let mut page = Page::open(&io, json!({})).await;
    let id = page.client.id().clone();
    let socket = ns.socket(&id).unwrap();
    assert!(!socket.is_recovered());
    socket.join(["a", "b"]);
    socket.leave("b");
    socket.set_data("name", "x");
    ns.to("a").emit("n", 1).unwrap();
    socket.emit("n", 2).unwrap();
    page.until("n").await;
    page.until("n").await;
    let gone = page.lose(&ns).await;
    ns.to("a").emit("n", 3).unwrap();
    ns.to("b").emit("n", 0).unwrap();
    ns.to(&id).emit("n", 4).unwrap();
    ns.emit("n", 5).unwrap();
    ns.to("other").emit("n", 0).unwrap();
    ns.except("a").emit("n", 0).unwrap();
    ns.to(["a", "other"]).emit("n", 6).unwrap();
    let mut page = gone.back(&io).await;
    assert_eq!(page.client.id(), &id);
    let again = ns.socket(&id).unwrap();
    assert!(again.is_recovered() && again != socket);
    assert_eq!(again.rooms().iter().map(|r| &**r).collect::<Vec<_>>(), [id.as_str(), "a"]);
    assert_eq!(Value::Object(again.data()), json!({ "name": "x" }));
    ns.to("a").emit("last", 7).unwrap();
    page.until("last").await;
    assert_eq!(numbers(&page.seen), [3, 4, 5, 6]);
    assert_eq!(outcome(&io, "restored"), 1);
}

#[tokio::test]
async fn it_works_without_any_event_before_the_loss_and_many_times() {
    let (io, ns) = memory();
    ns.emit("n", 0).unwrap();
    let page = Page::open(&io, json!({})).await;
    let mut gone = page.lose(&ns).await;
    for round in 1..=4 {
        ns.emit("n", round).unwrap();
        let mut page = gone.back(&io).await;
        while page.seen.len() < round {
            let event = page.client.recv().await.unwrap();
            let Args((n, offset)) = event.args::<Args<(u64, String)>>().unwrap();
            page.offset = Some(offset);
            page.seen.push(vec![n.into()]);
        }
        gone = page.lose(&ns).await;
    }
    assert_eq!(numbers(&gone.seen), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_client_that_is_back_before_its_loss_was_noticed_replaces_its_socket() {
    let (io, log) = logged();
    let ns = log_disconnects(io.of("/").recovery(Recovery::memory()));
    let page = Page::open(&io, json!({})).await;
    let id = page.client.id().clone();
    page.client.hold_reading(true);
    ns.emit("n", 1).unwrap();
    // Its old connection is still open, and not read from.
    let mut again = Client::connect(&io, "/", Some(page.auth())).await.unwrap();
    assert_eq!((again.id(), again.private_id()), (&id, Some(&*page.pid)));
    assert_eq!(again.recv_event::<u64>("n").await, Ok(1));
    assert_eq!(ns.socket_count(), 1);
    assert_eq!(log.next().await, "/: transport close");
    ns.emit("n", 2).unwrap();
    assert_eq!(again.recv_event::<u64>("n").await, Ok(2));
    let mut old = page.client;
    old.hold_reading(false);
    assert_eq!(old.ended().await, Ok(End::Connection));
    settle().await;
    assert_eq!(again.received().len(), 0);
    assert!(ns.socket(&id).unwrap().is_recovered());
}

#[tokio::test]
async fn nothing_is_restored_that_was_not_meant_for_it() {
    let (io, ns) = memory();
    let mut page = Page::open(&io, json!({})).await;
    let id = page.client.id().clone();
    let socket = ns.socket(&id).unwrap();
    ns.emit("first", ()).unwrap();
    page.until("first").await;
    // From here on it reads nothing: the offset stays.
    page.client.hold_reading(true);
    ns.to("late").emit("n", 0).unwrap();
    socket.join("late");
    ns.to("late").emit("n", 1).unwrap();
    socket.leave("late");
    ns.to("late").emit("n", 0).unwrap();
    socket.join("late");
    ns.to("late").emit("n", 2).unwrap();
    socket.to("late").emit("n", 0).unwrap();
    socket.broadcast().emit("n", 0).unwrap();
    ns.to("late").except(&id).emit("n", 0).unwrap();
    ns.volatile().emit("n", 0).unwrap();
    let asked = ns.timeout(Duration::from_millis(1)).emit_with_ack::<()>("n", 0);
    assert_eq!(asked.await.unwrap().len(), 1);
    let gone = page.lose(&ns).await;
    ns.to("late").emit("n", 3).unwrap();
    let mut page = gone.back(&io).await;
    ns.emit("last", ()).unwrap();
    page.until("last").await;
    assert_eq!(numbers(&page.seen), [1, 2, 3]);
}

#[tokio::test]
async fn a_volatile_event_carries_the_offset_of_the_latest_kept_one() {
    let (io, ns) = memory();
    let mut page = Page::open(&io, json!({})).await;
    ns.emit("kept", ()).unwrap();
    page.until("kept").await;
    let kept = page.offset.clone();
    ns.volatile().emit("volatile", ()).unwrap();
    page.until("volatile").await;
    assert_eq!(page.offset, kept);
    let gone = page.lose(&ns).await;
    ns.emit("n", 1).unwrap();
    let mut page = gone.back(&io).await;
    ns.emit("last", ()).unwrap();
    page.until("last").await;
    assert_eq!(numbers(&page.seen), [1]);
}

#[tokio::test]
async fn who_left_or_was_sent_away_is_a_new_client_when_it_comes() {
    let (io, ns) = memory();
    let page = Page::open(&io, json!({})).await;
    let (id, auth) = (page.client.id().clone(), page.auth());
    ns.socket(&id).unwrap().disconnect(false);
    let again = Client::connect(&io, "/", Some(auth)).await.unwrap();
    assert!(again.id() != &id && again.private_id() != Some(&page.pid));
    let (id, auth) = (again.id().clone(), json!({ "pid": again.private_id() }));
    again.disconnect();
    while ns.socket(&id).is_some() {
        tokio::task::yield_now().await;
    }
    let third = Client::connect(&io, "/", Some(auth)).await.unwrap();
    assert!(third.id() != &id);
    assert_eq!(outcome(&io, "unknown"), 2);
}

#[tokio::test]
async fn a_gap_is_named_and_never_filled_with_a_guess() {
    let recovery = || Recovery::memory().gap_event("gap").max_events(2).max_bytes(100_000);
    let send_buffer = 5_000;
    let io = Io::builder().shards(1).max_send_buffer(send_buffer).build();
    let ns = io.of("/").recovery(recovery());
    let mut page = Page::open(&io, json!({})).await;
    ns.emit("n", 1).unwrap();
    page.until("n").await;
    let offset = page.offset.clone().unwrap();
    let foreign = format!("zzzzzz{}", &offset[6..]);
    let ahead = format!("{}00000000zzz", &offset[..7]);
    let gap = async |auth: Value| -> (bool, Value) {
        let mut client = Client::connect(&io, "/", Some(auth)).await.unwrap();
        let gap = client.recv_event("gap").await.unwrap();
        (client.private_id() == Some(&page.pid), gap)
    };
    let expected = |from: Value, to: &str, reason: &str| {
        (false, json!({ "from": from, "to": format!("{}{to}", &offset[..7]), "reason": reason }))
    };
    let pid = &page.pid;
    for (auth, from, reason) in [
        (json!({ "pid": pid, "offset": foreign }), json!(foreign), "foreign"),
        (json!({ "pid": pid, "offset": ahead }), json!(ahead), "foreign"),
        (json!({ "pid": pid, "offset": "" }), json!(""), "foreign"),
        (json!({ "pid": "short", "offset": offset }), json!(offset), "unknown"),
        (json!({ "pid": "AAAAAAAAAAAAAAAAAAAA" }), json!(null), "unknown"),
    ] {
        let (restored, mut found) = gap(auth.clone()).await;
        // Each gap event is an event itself.
        found["to"] = json!(format!("{}-", &offset[..7]));
        assert_eq!((restored, found), expected(from, "-", reason), "{auth}");
    }
    // More than two events later the first of them is not kept any more.
    for n in 0..3 {
        ns.emit("n", n).unwrap();
    }
    let (_, found) = gap(json!({ "pid": pid, "offset": offset })).await;
    assert_eq!(found["reason"], "window");
    let Page { client, .. } = page;
    drop(client);

    let page = Page::open(&io, json!({})).await;
    let gone = page.lose(&ns).await;
    ns.emit("long", "x".repeat(send_buffer)).unwrap();
    let mut late = Client::connect(&io, "/", Some(gone.auth)).await.unwrap();
    assert_eq!(late.recv_event::<Value>("gap").await.unwrap()["reason"], "bytes");
    // What is no claim is no gap either.
    for auth in [json!({}), json!({ "pid": 5 }), json!({ "pid": null, "offset": offset })] {
        let mut client = Client::connect(&io, "/", Some(auth)).await.unwrap();
        client.emit("hello", ()).unwrap();
        settle().await;
        assert_eq!(client.received().len(), 0);
    }
    let counted: Vec<_> = io.metrics().recoveries.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("unknown", 2), ("window", 1), ("foreign", 3), ("bytes", 1)]);
}

#[tokio::test]
async fn after_its_time_a_client_is_forgotten() {
    let (io, ns) = recovering(Recovery::memory().max_disconnection(Duration::ZERO));
    let gone = Page::open(&io, json!({})).await.lose(&ns).await;
    let late = Client::connect(&io, "/", Some(gone.auth)).await.unwrap();
    assert!(late.private_id() != Some(&*gone.pid));

    let (io, ns) = recovering(Recovery::memory().max_sessions(2));
    let mut gone = Vec::new();
    for _ in 0..3 {
        gone.push(Page::open(&io, json!({})).await.lose(&ns).await);
    }
    let mut back = Vec::new();
    for page in gone {
        let client = Client::connect(&io, "/", Some(page.auth)).await.unwrap();
        back.push((client.private_id() == Some(&*page.pid), client));
    }
    assert_eq!(back.iter().map(|(is_back, _)| *is_back).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn checks_run_for_all_or_for_those_who_are_new() {
    for spared in [false, true] {
        let (io, log) = logged_with(|builder| builder.recovery(Recovery::memory().run_checks(!spared)));
        let ns = io.of("/").check(
            async |auth: trunkline::Auth<Value>, log: trunkline::State<sio_support::Log>| {
                log.0.say("checked");
                if auth.0["bad"] == true { Err(Refusal::new("bad")) } else { Ok(()) }
            },
        );
        let page = Page::open(&io, json!({})).await;
        assert_eq!(log.now(), ["checked"]);
        let gone = page.lose(&ns).await;
        let page = gone.back(&io).await;
        assert_eq!(log.now().len(), usize::from(!spared));
        drop(page);
        // Nobody is spared for a claim that does not hold.
        let auth = json!({ "pid": "AAAAAAAAAAAAAAAAAAAA", "bad": true });
        let refused = Client::connect(&io, "/", Some(auth)).await;
        assert_eq!(refused.unwrap_err().to_string(), "refused: bad");
        assert_eq!(log.now(), ["checked"]);
    }
}

#[tokio::test]
async fn without_recovery_events_end_where_they_ended() {
    let io = Io::builder().shards(1).build();
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(client.private_id(), None);
    io.emit("n", 1).unwrap();
    assert_eq!(client.recv().await.unwrap().args::<Args<(u64,)>>(), Ok(Args((1,))));
    // In namespaces of a pattern each has a log of its own.
    io.of_pattern("/room-{n}").register(|ns| ns.recovery(Recovery::memory()));
    let mut first = Client::connect(&io, "/room-1", None).await.unwrap();
    assert!(first.private_id().is_some());
    io.of("/room-1").emit("n", 1).unwrap();
    assert_eq!(first.recv().await.unwrap().args::<Args<(u64, String)>>().unwrap().0.0, 1);
}

#[tokio::test]
async fn each_client_gets_what_was_for_it_once_and_in_order() {
    for seed in 1..=60 {
        model(Recovery::memory(), seed, None).await;
    }
}

#[tokio::test]
async fn with_files_too_and_over_restarts() {
    for (seed, durability) in
        (1..=30).zip([Durability::Batched, Durability::Synced, Durability::None].into_iter().cycle())
    {
        let folder = Folder::new();
        model(Recovery::file(&folder.0).durability(durability), seed, Some(40)).await;
    }
}

/// A folder of a test's own; removed when dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("recovery-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The server again, after its end: who still holds its log lets go soon.
async fn restart(io: Io, ns: Namespace, recovery: &Recovery) -> (Io, Namespace) {
    io.close().await;
    drop((io, ns));
    let again = || {
        let (io, ns) = recovering(recovery.clone());
        ns.open_recovery().is_ok().then_some((io, ns))
    };
    loop {
        if let Some(again) = again() {
            return again;
        }
        // Idle, so that a paused clock goes on.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Random emits, joins, leaves and cuts against a model of who has to get what; the server is restarted after every `restarts` steps.
async fn model(recovery: Recovery, seed: u64, restarts: Option<u64>) {
    const ROOMS: [&str; 3] = ["a", "b", "c"];
    let mut random = seed;
    let mut below = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let (mut io, mut ns) = recovering(recovery.clone());
    let mut pages = Vec::new();
    let mut rooms = [[false; 3]; 4];
    let mut expected = vec![Vec::new(); 4];
    for _ in 0..4 {
        let page = Page::open(&io, json!({})).await;
        pages.push((page.client.id().clone(), Ok::<_, Gone>(page)));
    }
    for number in 0..120u64 {
        if restarts.is_some_and(|steps| number % steps == steps - 1) {
            let mut away = Vec::new();
            for (id, page) in pages {
                let gone = match page {
                    Ok(page) => page.lose(&ns).await,
                    Err(gone) => gone,
                };
                away.push((id, Err(gone)));
            }
            pages = away;
            (io, ns) = restart(io, ns, &recovery).await;
        }
        let who = below(4) as usize;
        let room = below(3) as usize;
        let (id, page) = &mut pages[who];
        match below(10) {
            0 => {
                if let Some(socket) = ns.socket(id) {
                    socket.join(ROOMS[room]);
                    rooms[who][room] = true;
                }
            }
            1 => {
                if let Some(socket) = ns.socket(id) {
                    socket.leave(ROOMS[room]);
                    rooms[who][room] = false;
                }
            }
            2 => {
                let id = id.clone();
                let (_, taken) = pages.swap_remove(who);
                let changed = match taken {
                    Ok(mut page) => {
                        if below(2) == 0 {
                            page.client.hold_reading(true);
                        }
                        page.take();
                        Err(page.lose(&ns).await)
                    }
                    Err(gone) => Ok(gone.back(&io).await),
                };
                pages.push((id, changed));
                let last = pages.len() - 1;
                pages.swap(who, last);
            }
            3 => {
                if let Ok(page) = page {
                    settle().await;
                    page.take();
                }
            }
            4 => {
                ns.emit("n", number).unwrap();
                expected.iter_mut().for_each(|e| e.push(number));
            }
            5 => {
                ns.to(&*id).emit("n", number).unwrap();
                expected[who].push(number);
            }
            6 => {
                if let Some(socket) = ns.socket(id) {
                    socket.to(ROOMS[room]).emit("n", number).unwrap();
                    for other in (0..4).filter(|other| *other != who && rooms[*other][room]) {
                        expected[other].push(number);
                    }
                }
            }
            _ => {
                let except = below(3) as usize;
                ns.to(ROOMS[room]).except(ROOMS[except]).emit("n", number).unwrap();
                for other in (0..4).filter(|o| rooms[*o][room] && !rooms[*o][except]) {
                    expected[other].push(number);
                }
            }
        }
    }
    for (who, (_, page)) in pages.into_iter().enumerate() {
        let mut page = match page {
            Ok(page) => page.lose(&ns).await.back(&io).await,
            Err(gone) => gone.back(&io).await,
        };
        let id = page.client.id().clone();
        ns.socket(&id).unwrap().emit("last", ()).unwrap();
        page.until("last").await;
        assert_eq!(numbers(&page.seen), expected[who], "client {who}, seed {seed}");
    }
}

#[tokio::test]
async fn an_empty_namespace_of_a_pattern_stays_while_somebody_may_come_back() {
    for (recovery, is_kept) in
        [(Recovery::memory(), true), (Recovery::memory().max_disconnection(Duration::ZERO), false)]
    {
        let io = Io::builder().shards(1).cleanup_empty_child_namespaces(true).build();
        io.of_pattern("/room-{n}").register(|ns| ns.recovery(recovery));
        let client = Client::connect(&io, "/room-1", None).await.unwrap();
        let pid = client.private_id().unwrap().to_owned();
        client.cut();
        let count = |name: &str| io.namespaces().iter().filter(|ns| ns.name() == name).count();
        while io.namespaces().iter().any(|ns| ns.socket_count() > 0) {
            tokio::task::yield_now().await;
        }
        // Making another one sweeps.
        let other = Client::connect(&io, "/room-2", None).await.unwrap();
        assert_eq!(count("/room-1"), usize::from(is_kept));
        let again = Client::connect(&io, "/room-1", Some(json!({ "pid": pid }))).await.unwrap();
        assert_eq!(again.private_id() == Some(&pid), is_kept);
        drop(other);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_claim_one_session_at_once_one_has_it() {
    let (io, ns) = memory();
    for _ in 0..60 {
        let page = Page::open(&io, json!({})).await;
        let id = page.client.id().clone();
        let claims: Vec<_> = (0..6)
            .map(|_| {
                let (io, auth) = (io.clone(), page.auth());
                tokio::spawn(async move { Client::connect(&io, "/", Some(auth)).await })
            })
            .collect();
        let mut clients = Vec::new();
        for claim in claims {
            // Whoever came before the last was replaced, perhaps before it knew that it was in.
            clients.extend(claim.await.unwrap());
        }
        let of_this_id = || ns.sockets().into_iter().filter(|socket| *socket.id() == id).count();
        assert!(of_this_id() <= 1);
        drop((clients, page));
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_client_of_a_busy_namespace_is_recovered() {
    let io = Io::builder().shards(1).ping_interval(Duration::from_secs(5)).build();
    let ns = io.of("/").recovery(Recovery::memory().max_events(10));
    let mut page = Page::open(&io, json!({})).await;
    ns.emit("mine", ()).unwrap();
    page.until("mine").await;
    for n in 0..100 {
        ns.to("other").emit("n", n).unwrap();
    }
    // It answers a heartbeat: all that was for it before has come.
    tokio::time::sleep(Duration::from_secs(6)).await;
    ns.to("other").emit("n", 0).unwrap();
    let gone = page.lose(&ns).await;
    gone.back(&io).await;
}

#[tokio::test]
async fn forged_claims_push_nothing_out_of_the_log() {
    let (io, ns) = recovering(Recovery::memory().gap_event("gap").max_events(20));
    let mut page = Page::open(&io, json!({})).await;
    ns.emit("n", 0).unwrap();
    page.until("n").await;
    let gone = page.lose(&ns).await;
    ns.emit("n", 1).unwrap();
    let auth = json!({ "pid": "A", "offset": "x".repeat(10_000) });
    for _ in 0..50 {
        let mut hostile = Client::connect(&io, "/", Some(auth.clone())).await.unwrap();
        assert_eq!(hostile.recv_event::<Value>("gap").await.unwrap()["from"], "");
    }
    let mut page = gone.back(&io).await;
    page.until("n").await;
}

#[tokio::test]
async fn who_comes_and_goes_makes_nobody_else_be_forgotten() {
    let (io, ns) = recovering(Recovery::memory().max_sessions(2));
    let quiet = Page::open(&io, json!({})).await.lose(&ns).await;
    let mut flapping = Page::open(&io, json!({})).await.lose(&ns).await;
    for _ in 0..5 {
        flapping = flapping.back(&io).await.lose(&ns).await;
    }
    quiet.back(&io).await;
}

#[tokio::test]
async fn who_left_more_rooms_than_are_remembered_is_a_new_client() {
    for (rooms, is_back) in [(64, true), (66, false)] {
        let (io, ns) = memory();
        let mut page = Page::open(&io, json!({})).await;
        let socket = ns.socket(page.client.id()).unwrap();
        ns.emit("first", ()).unwrap();
        page.until("first").await;
        page.client.hold_reading(true);
        for n in 0..rooms {
            socket.join(format!("room {n}"));
            ns.to(format!("room {n}")).emit("n", n).unwrap();
            socket.leave(format!("room {n}"));
        }
        let gone = page.lose(&ns).await;
        let client = Client::connect(&io, "/", Some(gone.auth)).await.unwrap();
        assert_eq!(client.private_id() == Some(&*gone.pid), is_back, "{rooms} rooms");
    }
}

#[tokio::test]
async fn logs_give_way_when_memory_is_short() {
    let io = Io::builder().shards(1).max_memory(1 << 20).recovery(Recovery::memory()).build();
    io.of_pattern("/room-{n}");
    let page = Page::open(&io, json!({})).await;
    for n in 0..400 {
        io.of(&format!("/room-{}", n % 20)).emit("n", "x".repeat(10_000)).unwrap();
    }
    assert!(io.metrics().memory <= (1 << 20) + 20_000, "{}", io.metrics().memory);
    assert!(io.of("/").socket(page.client.id()).is_some(), "nobody is closed for it");
}

#[tokio::test]
async fn what_is_done_to_a_lost_socket_holds_when_it_comes_back() {
    let (io, ns) = memory();
    let page = Page::open(&io, json!({})).await;
    let socket = ns.socket(page.client.id()).unwrap();
    socket.join("secret");
    let gone = page.lose(&ns).await;
    socket.leave("secret");
    ns.to("secret").emit("n", 0).unwrap();
    socket.join("public");
    ns.to("public").emit("n", 1).unwrap();
    let mut page = gone.back(&io).await;
    ns.emit("last", ()).unwrap();
    page.until("last").await;
    assert_eq!(numbers(&page.seen), [1]);
    let again = ns.socket(page.client.id()).unwrap();
    assert_eq!(again.rooms().len(), 2);
    let gone = page.lose(&ns).await;
    again.disconnect(true);
    let client = Client::connect(&io, "/", Some(gone.auth)).await.unwrap();
    assert!(client.private_id() != Some(&gone.pid));
}

#[tokio::test]
async fn an_offset_of_an_earlier_life_of_the_server_means_the_beginning() {
    let (io, ns) = memory();
    // Official clients send the old one with their new private id until an event has come.
    let old = json!({ "pid": "AAAAAAAAAAAAAAAAAAAA", "offset": "zzzzzz.0000000000a" });
    let mut page = Page::open(&io, old.clone()).await;
    page.offset = Some("zzzzzz.0000000000a".to_owned());
    let gone = page.lose(&ns).await;
    ns.emit("n", 1).unwrap();
    let mut page = gone.back(&io).await;
    page.until("n").await;
}

#[tokio::test]
async fn a_session_without_end_is_no_trouble() {
    let recovery = Recovery::memory().max_disconnection(Duration::MAX);
    let io = Io::builder().shards(1).cleanup_empty_child_namespaces(true).recovery(recovery).build();
    io.of_pattern("/room-{n}");
    let client = Client::connect(&io, "/room-1", None).await.unwrap();
    client.cut();
    while io.session_count() > 0 {
        tokio::task::yield_now().await;
    }
    io.close().await;
}

#[tokio::test]
async fn hooks_of_outgoing_events_see_the_arguments_alone() {
    let (io, log) = logged();
    let hook = log.clone();
    let ns = io.of("/").recovery(Recovery::memory()).on_any_outgoing(move |outgoing| {
        hook.say(format!("{:?}", outgoing.args::<Vec<Value>>()));
    });
    let client = Client::connect(&io, "/", None).await.unwrap();
    ns.emit("n", 1).unwrap();
    ns.socket(client.id()).unwrap().emit("n", Args((2, 3))).unwrap();
    assert_eq!(log.take(2).await, ["Some([Number(1)])", "Some([Number(2), Number(3)])"]);
}

#[tokio::test]
async fn data_and_rooms_of_a_restarted_server_are_those_of_before() {
    let folder = Folder::new();
    let recovery = Recovery::file(&folder.0);
    let (io, ns) = recovering(recovery.clone());
    let page = Page::open(&io, json!({})).await;
    let id = page.client.id().clone();
    let socket = ns.socket(&id).unwrap();
    socket.join(["a", "b"]);
    socket.set_data("name", json!({ "first": "x" }));
    socket.set_data("age", 7);
    socket.leave("b");
    drop(socket);
    let gone = page.lose(&ns).await;
    let (io, ns) = restart(io, ns, &recovery).await;
    let page = gone.back(&io).await;
    let again = ns.socket(&id).unwrap();
    assert_eq!(again.rooms().iter().map(|r| &**r).collect::<Vec<_>>(), [id.as_str(), "a"]);
    assert_eq!(Value::Object(again.data()), json!({ "name": { "first": "x" }, "age": 7 }));
    // Twice, since the second time it was not entered but restored.
    again.set_data("age", 8);
    drop(again);
    let gone = page.lose(&ns).await;
    let (io, ns) = restart(io, ns, &recovery).await;
    let page = gone.back(&io).await;
    assert_eq!(ns.socket(&id).unwrap().data()["age"], 8);
    // Who is sent away stays away, and so does who is gone too long.
    ns.socket(&id).unwrap().disconnect(true);
    let auth = page.auth();
    drop(page);
    let (io, _ns) = restart(io, ns, &recovery.max_disconnection(Duration::from_secs(60))).await;
    let client = Client::connect(&io, "/", Some(auth)).await.unwrap();
    assert_ne!(client.id(), &id);
}

#[tokio::test(start_paused = true)]
async fn who_has_got_the_past_of_a_quiet_room_comes_back_to_a_restarted_server() {
    let folder = Folder::new();
    let recovery = Recovery::file(&folder.0).durability(Durability::None);
    let io = Io::builder().shards(1).ping_interval(Duration::from_millis(50)).build();
    let ns = io.of("/").recovery(recovery.clone());
    ns.to("lobby").emit("n", 1).unwrap();
    let page = Page::open(&io, json!({})).await;
    let socket = ns.socket(page.client.id()).unwrap();
    assert_eq!(socket.join_with_history("lobby", Rewind::all()).events, 1);
    drop(socket);
    // It answers a heartbeat: all of it has come.
    tokio::time::sleep(Duration::from_millis(75)).await;
    let gone = page.lose(&ns).await;
    let (io, _ns) = restart(io, ns, &recovery).await;
    gone.back(&io).await;
}

/// How often what is written now names a client.
fn mentions(folder: &Folder, pid: &str) -> usize {
    let files = std::fs::read_dir(folder.0.join("%2f")).unwrap();
    let files = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.map(|bytes| bytes.windows(pid.len()).filter(|text| *text == pid.as_bytes()).count()).sum()
}

#[tokio::test]
async fn who_is_told_of_its_beginning_or_end_finds_it_written() {
    let folder = Folder::new();
    let (io, ns) = recovering(Recovery::file(&folder.0).durability(Durability::Synced));
    for _ in 0..10 {
        let mut page = Page::open(&io, json!({})).await;
        assert_eq!(mentions(&folder, &page.pid), 1);
        ns.socket(page.client.id()).unwrap().disconnect(false);
        page.client.ended().await.unwrap();
        assert_eq!(mentions(&folder, &page.pid), 2);
    }
}

#[tokio::test]
async fn an_empty_namespace_of_a_pattern_leaves_no_files() {
    let folder = Folder::new();
    let recovery = Recovery::file(&folder.0).max_disconnection(Duration::ZERO);
    let io = Io::builder().shards(1).cleanup_empty_child_namespaces(true).recovery(recovery).build();
    io.of_pattern("/room-{n}");
    let client = Client::connect(&io, "/room-1", None).await.unwrap();
    let child = folder.0.join("%2froom-1");
    assert!(child.exists());
    client.cut();
    while io.namespaces().iter().any(|ns| ns.name() == "/room-1") {
        // Making another one sweeps.
        drop(Client::connect(&io, "/room-2", None).await.unwrap());
    }
    // By the log's thread.
    while child.exists() {
        tokio::task::yield_now().await;
    }
    io.close().await;
}

#[tokio::test(start_paused = true)]
async fn outdated_logs_go_after_the_start_and_not_during_it() {
    let folder = Folder::new();
    let recovery = Recovery::file(&folder.0).max_disconnection(Duration::ZERO);
    let io = Io::builder().recovery(recovery.clone()).build();
    io.of("/old").open_recovery().unwrap();
    drop(io);
    let old = folder.0.join("%2fold");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    for file in std::fs::read_dir(&old).unwrap() {
        let file = std::fs::OpenOptions::new().write(true).open(file.unwrap().path()).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    // The first of them to be opened must not have the others removed.
    let io = Io::builder().recovery(recovery).build();
    io.of("/a").open_recovery().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(old.exists());
    let began = std::time::Instant::now();
    while old.exists() {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert!(folder.0.join("%2fa").exists());
}

#[tokio::test(start_paused = true)]
async fn an_empty_namespace_of_a_pattern_goes_where_nothing_else_happens() {
    let recovery = Recovery::memory().max_disconnection(Duration::ZERO);
    let io = Io::builder().shards(1).cleanup_empty_child_namespaces(true).recovery(recovery).build();
    io.of_pattern("/room-{n}");
    Client::connect(&io, "/room-1", None).await.unwrap().cut();
    let began = std::time::Instant::now();
    while io.namespaces().iter().any(|ns| ns.name() == "/room-1") {
        // The library looks by the runtime's clock, which leaps here; times of going are real.
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn polling_and_websocket_clients_get_what_waited_for_the_disk_in_order() {
    let folder = Folder::new();
    let io = Io::builder().uring(uring()).path("/engine.io").shards(2).build();
    let ns = io.of("/").recovery(Recovery::file(&folder.0).durability(Durability::Synced));
    let mut page = Page::open(&io, json!({})).await;
    let server = TestServer::start(1, io.service());
    let mut polling = Polling::open(server.address).await;
    polling.send("40").await;
    while ns.socket_count() < 2 {
        tokio::task::yield_now().await;
    }
    for n in 1..=500 {
        ns.emit("n", n).unwrap();
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    ns.emit("last", ()).unwrap();
    page.until("last").await;
    assert_eq!(numbers(&page.seen), (1..=500).collect::<Vec<_>>());
    let mut seen = Vec::new();
    while !seen.iter().any(|text: &String| text.contains("last")) {
        let payload = polling.receive().await;
        seen.extend(payload.split('\u{1e}').filter(|text| text.starts_with("42")).map(str::to_owned));
    }
    assert_eq!(seen.len(), 501);
    assert!(seen.iter().take(500).zip(1..).all(|(text, n)| text.starts_with(&format!("42[\"n\",{n},"))));
}

#[tokio::test(start_paused = true)]
async fn a_log_in_which_nothing_happens_gives_up_what_is_too_old() {
    let moment = Duration::from_millis(1);
    let recovery = Recovery::memory().max_disconnection(moment);
    let io = Io::builder().ping_interval(moment).ping_timeout(moment).recovery(recovery).build();
    io.emit("n", "x".repeat(1_000)).unwrap();
    assert!(io.metrics().memory > 1_000);
    let began = std::time::Instant::now();
    while io.metrics().memory > 0 {
        // The library looks by the runtime's clock, which leaps here; ages are real.
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", io.metrics());
    }
}

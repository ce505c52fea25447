//! What is left after the end: of sockets, of servers, of runtimes.

mod sio_support;

use std::sync::Arc;
use std::time::Duration;

use sio_support::{Log, log_disconnects, logged, logged_with, serve, settle};
use trunkline::testing::{Client, End};
use trunkline::{Data, Io, Socket, State};
use trunkline_testkit::{Conn, Http, Request, eventually, uring, within};

#[tokio::test]
async fn a_thousand_clients_leave_nothing_behind() {
    let (io, _) = logged();
    io.of_pattern("/g-{n}");
    io.of("/")
        .on_connect(async |socket: Socket| {
            let keeps = socket.clone();
            // A listener that holds its own socket.
            socket.on("x", move |Data(room): Data<String>| {
                let socket = keeps.clone();
                async move { socket.join(room) }
            });
            drop(socket.emit_with_ack::<u8>("never answered", ()));
        })
        .on("hang", async |socket: Socket| drop(socket.emit_with_ack::<u8>("q", ()).await));
    let socket = {
        let client = Client::connect(&io, "/", None).await.unwrap();
        io.socket(client.id()).unwrap()
    };
    for n in 0..1000u32 {
        let client = Client::connect(&io, "/", None).await.unwrap();
        let _other = client.enter(&format!("/g-{}", n % 10), None).await.unwrap();
        client.emit("x", format!("room {n}")).unwrap();
        client.emit("hang", ()).unwrap();
        client.send_text("52-[\"never complete\",{\"_placeholder\":true,\"num\":0}]");
        match n % 4 {
            0 => client.disconnect(),
            1 => client.close(),
            2 => client.cut(),
            _ => drop(client),
        }
    }
    eventually("the sessions end", || io.session_count() == 0).await;
    eventually("memory is given back", || io.metrics().memory == 0).await;
    for ns in io.namespaces() {
        assert_eq!(
            (ns.socket_count(), ns.rooms(), ns.sockets()),
            (0, Vec::new(), Vec::new()),
            "{}",
            ns.name()
        );
    }
    assert!(!socket.is_connected());
    assert_eq!(io.metrics().sessions_opened, 1001);
}

/// A server that uses everything, and knows `probe`.
fn furnished(probe: &Arc<()>) -> Io {
    let io = Io::builder().uring(uring()).shards(2).state(Arc::clone(probe)).state(Log::default()).build();
    let kept = Arc::clone(probe);
    io.of("/a").on("x", move |socket: Socket, State(_): State<Arc<()>>| {
        let _kept = Arc::clone(&kept);
        async move { socket.join("r") }
    });
    io.of("/a").on_connect(async |socket: Socket, State(_): State<Arc<()>>| {
        let itself = socket.clone();
        socket.on("itself", move || {
            let itself = itself.clone();
            async move { itself.join("r") }
        });
    });
    io.of_pattern("/p-{n}").register(|ns| ns.on_any(async |State(_): State<Arc<()>>| {}));
    io.of_fn(async |_| true).register(|ns| ns.on_disconnect(async |State(_): State<Arc<()>>| {}));
    io.on_new_namespace(|_| {});
    io
}

async fn is_freed(probe: &Arc<()>) {
    eventually("all is freed", || Arc::strong_count(probe) == 1).await;
}

#[tokio::test]
async fn a_dropped_server_is_freed() {
    let probe = Arc::new(());
    drop(furnished(&probe));
    is_freed(&probe).await;
    let io = furnished(&probe);
    let a = Client::connect(&io, "/a", None).await.unwrap();
    let p = a.enter("/p-1", None).await.unwrap();
    let f = a.enter("/any", None).await.unwrap();
    a.emit_with_ack::<()>("x", ()).await.unwrap();
    let namespace = io.of("/a");
    drop(io);
    a.emit_with_ack::<()>("x", ()).await.expect("sessions keep their server");
    assert_eq!(namespace.socket_count(), 1);
    drop((a, p, f, namespace));
    is_freed(&probe).await;
}

#[test]
fn a_server_whose_runtime_ended_is_freed() {
    let probe = Arc::new(());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let io = furnished(&probe);
    let clients = runtime.block_on(async {
        let a = Client::connect(&io, "/a", None).await.unwrap();
        a.emit_with_ack::<()>("x", ()).await.unwrap();
        (a.enter("/p-1", None).await.unwrap(), a)
    });
    drop(runtime);
    assert_eq!((io.session_count(), io.of("/a").socket_count()), (0, 0));
    assert!(io.of("/a").rooms().is_empty());
    assert_eq!(io.metrics().memory, 0);
    drop((io, clients));
    assert_eq!(Arc::strong_count(&probe), 1);
}

#[tokio::test]
async fn a_closed_server_ends_its_clients_after_what_is_queued_and_answers_503() {
    let (io, log) = logged();
    log_disconnects(io.of("/"));
    let server = serve(&io, 1);
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    io.emit("last words", 1).unwrap();
    within("the end", io.close()).await;
    assert_eq!(client.recv_event::<u8>("last words").await.unwrap(), 1);
    assert_eq!(client.ended().await, Ok(End::Connection));
    assert_eq!(log.next().await, "/: server shutting down");
    let mut http = Http::over(Conn::open(server.address).await);
    http.send(&Request::new("GET", "/socket.io/?EIO=4&transport=polling")).await;
    let response = http.response().await;
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert_eq!(io.session_count(), 0);
    io.emit("nobody hears", ()).unwrap();
}

#[tokio::test]
async fn closing_waits_for_disconnect_handlers() {
    let (io, log) = logged();
    io.of("/").on_disconnect(async |State(log): State<Log>| {
        settle().await;
        log.say("saved");
    });
    let _client = Client::connect(&io, "/", None).await.unwrap();
    within("the end", io.close()).await;
    assert_eq!(log.now(), ["saved"]);
}

#[tokio::test]
async fn closing_does_not_wait_for_ever_for_who_does_not_read() {
    let (io, _) = logged_with(|b| b.close_timeout(Duration::from_millis(50)));
    let stuck = trunkline::testing::Connect::new().buffer(64).to(&io, "/", None).await.unwrap();
    stuck.hold_reading(true);
    for _ in 0..20 {
        io.emit("fill", "x".repeat(1000)).unwrap();
        settle().await;
    }
    within("the end", io.close()).await;
    assert_eq!(io.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paced_close_ends_so_many_in_a_second_and_takes_no_new_ones() {
    let io = Io::builder().uring(uring()).shards(2).build();
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(Client::connect(&io, "/", None).await.unwrap());
    }
    let began = tokio::time::Instant::now();
    let closing = tokio::spawn({
        let io = io.clone();
        async move { io.close_at_pace(40).await }
    });
    let mut left = Vec::new();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(990)).await;
        left.push(io.session_count());
    }
    // Two at once every 50 ms, the first at the start.
    assert_eq!(left, [60, 20, 0]);
    closing.await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(2_450));
    for mut client in clients {
        assert_eq!(client.ended().await, Ok(End::Connection));
    }
}

#[tokio::test]
async fn a_socket_that_has_left_is_freed_while_its_connection_stays() {
    let (io, log) = logged_with(|builder| builder.ping_interval(Duration::from_secs(3600)));
    let client = Client::connect(&io, "/", None).await.unwrap();
    for name in ["/leaves", "/is-sent-away"] {
        log_disconnects(io.of(name));
        let other = client.enter(name, None).await.unwrap();
        let socket = io.of(name).socket(other.id()).unwrap();
        let probe = Arc::new(());
        socket.insert(Arc::clone(&probe));
        match name {
            "/leaves" => {
                drop(socket);
                other.disconnect();
                assert_eq!(log.next().await, "/leaves: client namespace disconnect");
            }
            _ => {
                socket.disconnect(false);
                drop(socket);
                assert_eq!(log.next().await, "/is-sent-away: server namespace disconnect");
            }
        }
        is_freed(&probe).await;
    }
    assert_eq!(io.session_count(), 1);
}

#[tokio::test]
async fn who_is_still_being_checked_when_the_server_closes_never_connects() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (io, log) = logged_with(|builder| builder.state(Arc::clone(&gate)));
    io.of("/slow")
        .check(async |State(gate): State<Arc<tokio::sync::Semaphore>>| {
            drop(gate.acquire().await);
            Ok::<_, String>(())
        })
        .on_connect(async |State(log): State<Log>| log.say("connected"));
    let client = Client::connect(&io, "/", None).await.unwrap();
    // Its line takes nothing: the session waits with its end for what is queued.
    client.hold_reading(true);
    let socket = io.socket(client.id()).unwrap();
    while socket.emit("fill", "x".repeat(1000)).is_ok() && io.metrics().blocked_sessions == 0 {
        settle().await;
    }
    let entering = client.enter("/slow", None);
    let mut entering = std::pin::pin!(entering);
    tokio::select! { biased; _ = &mut entering => panic!("it is being checked"), () = settle() => {} }
    let closing = {
        let io = io.clone();
        tokio::spawn(async move { io.close().await })
    };
    settle().await;
    gate.add_permits(1);
    settle().await;
    client.hold_reading(false);
    within("the end", closing).await.unwrap();
    assert!(entering.await.is_err());
    assert!(!log.now().iter().any(|line| line == "connected"));
}

/// The tasks of a shard run where its first session was opened.
#[test]
fn a_runtime_that_ends_takes_only_its_own_sessions_with_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let (io, _) = logged();
    let gone = first.block_on(Client::connect(&io, "/", None)).unwrap();
    let mut stays = second.block_on(Client::connect(&io, "/", None)).unwrap();
    drop(first);
    second.block_on(async {
        io.emit("n", 1).unwrap();
        assert_eq!(within("the event", stays.recv_event::<u8>("n")).await.unwrap(), 1);
    });
    drop(gone);
}

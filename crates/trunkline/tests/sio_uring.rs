//! Broadcasts through io_uring arrive as others do.

mod sio_support;

use sio_support::serve;
use trunkline::{Data, Io, Socket, Uring};
use trunkline_testkit::{Conn, Request, TestServer, Ws, eventually};

/// Receivers: more than one chunk.
const RECEIVERS: usize = 150;
const EVENTS: usize = 40;

/// Says whether this system has it; `cargo xtask test` reads the line.
#[test]
fn availability() {
    match Uring::on() {
        Ok(_) => println!("io_uring: yes"),
        Err(error) => println!("io_uring: no ({error})"),
    }
}

/// Without it, `auto` is `off`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_told_in_order_with_and_without_it() {
    let is_had = Uring::on().is_ok();
    for (uring, is_used) in [(Uring::auto(), is_had), (Uring::off(), false)] {
        for (shards, threads) in [(1, 1), (2, 2), (1, 3)] {
            let io = Io::builder().uring(uring.from_receivers(2)).shards(shards).build();
            broadcast(&io, &serve(&io, threads), false).await;
            assert_eq!(io.metrics().uring_sends > 0, is_used);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_told_in_order_over_tls() {
    let is_had = Uring::on().is_ok();
    for (uring, is_used) in [(Uring::auto(), is_had), (Uring::off(), false)] {
        for (shards, threads) in [(1, 1), (2, 2), (1, 3)] {
            let io = Io::builder().uring(uring.from_receivers(2)).shards(shards).build();
            broadcast(&io, &TestServer::start_tls(threads, io.service()), true).await;
            assert_eq!(io.metrics().uring_sends > 0, is_used);
        }
    }
}

/// Those who do not read get everything later: records that the stream has not taken, and what came meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_readers_get_all_in_order_over_tls() {
    for threads in [1, 3] {
        let io = Io::builder()
            .uring(Uring::auto().from_receivers(2))
            .socket_send_buffer(4096)
            .max_send_buffer(8 << 20)
            .build();
        io.of("/").on_connect(async |socket: Socket| socket.join("room"));
        let server = TestServer::start_tls(threads, io.service());
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(enter(Conn::open_narrow_tls(server.address, 4096).await).await);
        }
        eventually("all are in the room", || io.to("room").count() == 8).await;
        let text = "x".repeat(5_000);
        let count = 200;
        for n in 0..count {
            io.to("room").emit("n", trunkline::Args((n, &text))).expect("encodes");
            // The first ones leave one by one, as long as the streams take them whole; then some alone, some together.
            if n < 4 {
                eventually("it is sent, or all are blocked", || {
                    let metrics = io.metrics();
                    metrics.queued == 0 || metrics.blocked_sessions == 8
                })
                .await;
            } else if n % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }
        eventually("all are blocked", || io.metrics().blocked_sessions == 8).await;
        for client in &mut clients {
            for n in 0..count {
                assert_eq!(client.text().await, format!("42[\"n\",{n},\"{text}\"]"));
            }
        }
        eventually("nothing is kept", || io.metrics().memory == 0).await;
        let metrics = io.metrics();
        assert_eq!(metrics.uring_sends > 0, Uring::on().is_ok());
    }
}

#[tokio::test]
async fn few_receivers_are_written_one_by_one() {
    let io = Io::builder().uring(Uring::auto().from_receivers(usize::MAX)).build();
    broadcast(&io, &serve(&io, 1), false).await;
    assert_eq!(io.metrics().uring_sends, 0);
}

/// Set in the process that may open [`FILES`] only.
#[cfg(unix)]
const CHILD: &str = "TRUNKLINE_TEST_URING_REFUSED";
#[cfg(unix)]
const FILES: usize = 1_000;

/// A ring is a file: who may open no more gets none.
#[cfg(unix)]
#[test]
fn where_it_is_refused_a_line_says_so_and_the_room_is_told_all_the_same() {
    if std::env::var_os(CHILD).is_some() {
        return refused();
    }
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {FILES} && exec \"$0\" \"$@\"")]);
    shell.arg(std::env::current_exe().unwrap()).args(["--exact", "--nocapture"]);
    shell.arg("where_it_is_refused_a_line_says_so_and_the_room_is_told_all_the_same");
    let output = shell.env(CHILD, "yes").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    let said = |level: &str| {
        out.lines().filter(|line| line.contains(level) && line.contains("reason=no io_uring: ")).count()
    };
    // What may be missing is no error; what is required and goes is one.
    assert_eq!((said("INFO"), said("ERROR")), (1, usize::from(Uring::on().is_ok())), "{out}");
}

#[cfg(unix)]
fn refused() {
    tracing_subscriber::fmt().with_ansi(false).init();
    let required = Uring::on().ok();
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
        assert!(files.len() < FILES, "the limit does not hold");
    }
    assert!(Uring::on().is_err());
    let ios: Vec<Io> = [Some(Uring::auto()), required]
        .into_iter()
        .flatten()
        .map(|uring| Io::builder().uring(uring.from_receivers(1)).shards(2).build())
        .collect();
    drop(files);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for io in ios {
        let server = serve(&io, 2);
        runtime.block_on(broadcast(&io, &server, false));
        assert_eq!(io.metrics().uring_sends, 0);
    }
}

async fn broadcast(io: &Io, server: &TestServer, is_tls: bool) {
    io.of("/").on_connect(async |socket: Socket| socket.join("room")).on(
        "pub",
        async |io: Io, Data(count): Data<usize>| {
            for n in 0..count {
                io.to("room").emit("n", n).expect("encodes");
            }
        },
    );
    let mut clients = Vec::new();
    for _ in 0..RECEIVERS {
        let conn =
            if is_tls { Conn::open_tls(server.address).await } else { Conn::open(server.address).await };
        clients.push(enter(conn).await);
    }
    // Some threads may still run what follows CONNECT.
    eventually("all are in the room", || io.to("room").count() == RECEIVERS).await;
    clients[0].send(&format!("42[\"pub\",{EVENTS}]")).await;
    for client in &mut clients {
        for n in 0..EVENTS {
            assert_eq!(client.text().await, format!("42[\"n\",{n}]"));
        }
    }
}

async fn enter(conn: Conn) -> Ws {
    let request = Request::upgrade("/socket.io/?EIO=4&transport=websocket");
    let mut ws = Ws::request(conn, &request).await.expect("101");
    assert!(ws.text().await.starts_with("0{"));
    ws.send("40").await;
    assert!(ws.text().await.starts_with("40{"));
    ws
}

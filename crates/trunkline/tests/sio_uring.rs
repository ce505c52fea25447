//! Broadcasts through io_uring arrive as others do.

mod sio_support;

use sio_support::serve;
use trunkline::{Data, Io, Socket, Uring};
use trunkline_testkit::{TestServer, Ws};

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
            broadcast(&io, threads).await;
            assert_eq!(io.metrics().uring_sends > 0, is_used);
        }
    }
}

#[tokio::test]
async fn few_receivers_are_written_one_by_one() {
    let io = Io::builder().uring(Uring::auto().from_receivers(usize::MAX)).build();
    broadcast(&io, 1).await;
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
        runtime.block_on(broadcast(&io, 2));
        assert_eq!(io.metrics().uring_sends, 0);
    }
}

async fn broadcast(io: &Io, threads: usize) {
    io.of("/").on_connect(async |socket: Socket| socket.join("room")).on(
        "pub",
        async |io: Io, Data(count): Data<usize>| {
            for n in 0..count {
                io.to("room").emit("n", n).expect("encodes");
            }
        },
    );
    let server = serve(io, threads);
    let mut clients = Vec::new();
    for _ in 0..RECEIVERS {
        clients.push(enter(&server).await);
    }
    clients[0].send(&format!("42[\"pub\",{EVENTS}]")).await;
    for client in &mut clients {
        for n in 0..EVENTS {
            assert_eq!(client.text().await, format!("42[\"n\",{n}]"));
        }
    }
}

async fn enter(server: &TestServer) -> Ws {
    let (mut ws, _) = sio_support::raw(server, 4).await;
    ws.send("40").await;
    assert!(ws.text().await.starts_with("40{"));
    ws
}

//! Retries against a server that handles each event once.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use support::{builder, serve};
use tokio::sync::Semaphore;
use trunkline::{ExactlyOnce, Io, Reply, State};
use trunkline_testkit::within;

#[derive(Clone)]
struct Post {
    runs: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
}

/// The first try is still being handled when its time is over: the next ones get its answer.
#[tokio::test]
async fn a_retry_is_answered_and_not_handled_again() {
    let post = Post { runs: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
    let io = Io::builder().shards(1).state(post.clone()).build();
    io.of("/").exactly_once(ExactlyOnce::new()).on("post", async |State(post): State<Post>| {
        let run = post.runs.fetch_add(1, Ordering::Relaxed) + 1;
        post.gate.acquire().await.expect("open").forget();
        Reply(run)
    });
    let server = serve(&io);
    let client = builder(&server).retries(50).ack_timeout(Duration::from_millis(50)).build().unwrap();
    let socket = client.of("/");
    within("the connection", socket.connected()).await.expect("connects");
    let answer = socket.emit_with_ack::<u32>("post", ());
    // CONNECT, what the client says of its ids, the event and two retries.
    while io.metrics().packets_in < 5 {
        tokio::task::yield_now().await;
    }
    post.gate.add_permits(100);
    assert_eq!(within("the answer", answer).await.unwrap(), 1);
    let next = within("another answer", socket.emit_with_ack::<u32>("post", ())).await.unwrap();
    assert_eq!((next, post.runs.load(Ordering::Relaxed)), (2, 2));
    assert!(io.metrics().repeats > 0);
}

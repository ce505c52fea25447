//! Tests of applications may stop the clock: what waits for time goes on at once, on both sides of the connection.

mod sio_support;

use std::time::Duration;

use serde_json::json;
use sio_support::{connect, log_disconnects, logged, settle};
use tokio::time::{Instant, sleep};
use trunkline::testing::{Client, Connect};
use trunkline::{Recovery, Reply};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_handler_takes_an_hour_and_the_connection_lives() {
    let (io, log) = logged();
    log_disconnects(io.of("/")).on("slow", async || {
        sleep(HOUR).await;
        Reply(1)
    });
    let client = Connect::new().deadline(2 * HOUR).to(&io, "/", None).await.unwrap();
    let began = Instant::now();
    assert_eq!(client.emit_with_ack::<u8>("slow", ()).await, Ok(1));
    assert!((HOUR..HOUR + Duration::from_secs(1)).contains(&began.elapsed()));
    assert!(log.now().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_found_after_interval_and_timeout() {
    let (io, log) = logged();
    log_disconnects(io.of("/"));
    let (client, _socket) = connect(&io).await;
    let began = Instant::now();
    client.hold_reading(true);
    let mut lines = Vec::new();
    while lines.is_empty() {
        sleep(Duration::from_millis(10)).await;
        lines = log.now();
    }
    assert_eq!(lines, ["/: ping timeout"]);
    let soon = Duration::from_secs(45)..Duration::from_millis(45_100);
    assert!(soon.contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_within_the_time_for_that_and_not_later() {
    let (io, _) = logged();
    io.of("/").recovery(Recovery::memory().max_disconnection(Duration::from_secs(120)));
    let client = Client::connect(&io, "/", None).await.unwrap();
    let pid = client.private_id().unwrap().to_owned();
    for (away, is_back) in [(119, true), (121, false)] {
        let client = Client::connect(&io, "/", Some(json!({ "pid": pid }))).await.unwrap();
        client.cut();
        settle().await;
        sleep(Duration::from_secs(away)).await;
        let client = Client::connect(&io, "/", Some(json!({ "pid": pid }))).await.unwrap();
        assert_eq!(client.private_id() == Some(&*pid), is_back, "{away} s");
    }
}

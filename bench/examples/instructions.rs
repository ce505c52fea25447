//! `instructions SCENARIO COUNT`: does one thing `COUNT` times, so that callgrind can count what it costs.
//!
//! `cargo xtask instructions` runs it twice with different counts; the difference is what `COUNT` of them cost, without start
//! and end. Everything runs in one thread, and nothing waits for a clock.

use std::hint::black_box;

use trunkline::testing::Client;
use trunkline::{Data, Io, Reply};
use trunkline_bench::pipe::Pipe;
use trunkline_proto::{sio, ws};

const TEXT: &str = "the quick brown fox jumps over the lazy dog, twice, at midnight";
/// Who is in the room of `broadcast`.
const RECEIVERS: usize = 1000;

fn main() {
    let mut args = std::env::args().skip(1);
    let (scenario, count) = (args.next(), args.next().and_then(|count| count.parse().ok()));
    let (Some(scenario), Some(count)) = (scenario, count) else {
        eprintln!("usage: instructions decode|encode|dispatch|broadcast COUNT");
        std::process::exit(2);
    };
    match scenario.as_str() {
        "decode" => decode(count),
        "encode" => encode(count),
        "dispatch" => run(dispatch(count)),
        "broadcast" => run(broadcast(count)),
        other => panic!("no scenario {other}"),
    }
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work);
}

/// A masked frame to an event.
fn decode(count: usize) {
    let text = format!("2[\"post\",\"{TEXT}\"]");
    let mut frame = Vec::new();
    ws::encode_frame(&mut frame, ws::OpCode::Text, false, text.as_bytes(), Some([1, 2, 3, 4]));
    let mut frames = ws::Decoder::new(ws::Role::Server, ws::Limits::default(), false);
    let mut packets = sio::Decoder::new(sio::Parser::Json, sio::Limits::default());
    for _ in 0..count {
        // Decoding unmasks in place.
        let mut bytes = black_box(frame.clone());
        let (_, event) = frames.decode(&mut bytes).expect("a frame");
        let Some(ws::Event::Text(text)) = event else { panic!("no text") };
        assert!(packets.decode_text(text).expect("a packet").is_some());
    }
}

/// An event to a packet.
fn encode(count: usize) {
    for _ in 0..count {
        let packet = sio::encode_event(sio::Parser::Json, 15, "/", None, "post", black_box(TEXT));
        black_box(packet.expect("encodes"));
    }
}

/// An event of a client to its handler, and the acknowledgement back. The client is a pipe with ready bytes at its end, so that the server's part
/// is what is counted.
async fn dispatch(count: usize) {
    let io = Io::builder().shards(1).build();
    io.of("/").on("post", async |Data(text): Data<String>| Reply(text));
    let client = Pipe::connect(&io).await;
    let mut frame = Vec::new();
    let event = format!("421[\"post\",\"{TEXT}\"]");
    ws::encode_frame(&mut frame, ws::OpCode::Text, false, event.as_bytes(), Some([1, 2, 3, 4]));
    for _ in 0..count {
        client.send(&frame);
        let answer = client.answer().await;
        assert!(
            answer.ends_with(b"midnight\"]"),
            "not the acknowledgement: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    std::process::exit(0);
}

/// An event into the outboxes of a room. The flusher does not get to run: what it and the kernel do is measured elsewhere.
async fn broadcast(count: usize) {
    let io = Io::builder().shards(1).build();
    let namespace = io.of("/");
    let mut clients = Vec::new();
    for _ in 0..RECEIVERS {
        clients.push(Client::connect(&io, "/", None).await.expect("connects"));
    }
    namespace.sockets_join("room");
    for _ in 0..count {
        namespace.to("room").emit("post", black_box(TEXT)).expect("is sent");
    }
    std::process::exit(0);
}

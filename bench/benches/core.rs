//! What the core costs without a network: codecs, and putting an event into the outboxes of a room.
//!
//! `cargo bench -p trunkline-bench`; figures are in `bench/RESULTS.md`.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use trunkline::testing::Client;
use trunkline::{Io, Namespace, Recovery};
use trunkline_proto::{eio, sio, ws};

/// An event as chats have them: 64 bytes of text.
const TEXT: &str = "the quick brown fox jumps over the lazy dog, twice, at midnight";
const ROOM: usize = 15;

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for (name, parser) in [("json", sio::Parser::Json), ("msgpack", sio::Parser::Msgpack)] {
        group.bench_function(format!("encode event, {name}"), |b| {
            b.iter(|| sio::encode_event(parser, ROOM, "/", None, "post", black_box(TEXT)).expect("encodes"));
        });
        let encoded = sio::encode_event(parser, 0, "/", Some(7), "post", TEXT).expect("encodes");
        let mut decoder = sio::Decoder::new(parser, sio::Limits::default());
        group.bench_function(format!("decode event, {name}"), |b| {
            b.iter(|| match parser {
                sio::Parser::Json => {
                    let text = std::str::from_utf8(encoded.packet()).expect("text");
                    decoder.decode_text(black_box(text)).map(|packet| packet.is_some())
                }
                sio::Parser::Msgpack => {
                    decoder.decode_binary(black_box(encoded.packet()).into()).map(|packet| packet.is_some())
                }
            });
        });
    }

    let mut frame = Vec::new();
    ws::encode_frame(&mut frame, ws::OpCode::Text, false, TEXT.as_bytes(), Some([1, 2, 3, 4]));
    group.throughput(Throughput::Bytes(frame.len() as u64));
    let mut decoder = ws::Decoder::new(ws::Role::Server, ws::Limits::default(), false);
    group.bench_function("decode a masked frame", |b| {
        b.iter_batched_ref(
            || frame.clone(),
            |bytes| decoder.decode(bytes).map(|(used, _)| used),
            BatchSize::SmallInput,
        );
    });
    let payload = vec![format!("42[\"post\",\"{TEXT}\"]"); 16].join("\u{1e}");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("decode a polling payload of 16", |b| {
        b.iter(|| eio::decode_payload_v4(black_box(&payload)).filter(Result::is_ok).count());
    });
}

/// A namespace with `receivers` sockets in the room `room`.
struct Hall {
    runtime: tokio::runtime::Runtime,
    io: Io,
    namespace: Namespace,
    _clients: Vec<Client>,
}

/// Emits between two turns of the flusher: what collects stays far below a send buffer.
const BURST: u64 = 16;

impl Hall {
    fn new(receivers: usize, recovery: Option<Recovery>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let io = Io::builder().shards(1).build();
        let mut namespace = io.of("/hall");
        if let Some(recovery) = recovery {
            namespace = namespace.recovery(recovery);
        }
        let clients: Vec<Client> = runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..receivers {
                clients.push(Client::connect(&io, "/hall", None).await.expect("connects"));
            }
            clients
        });
        namespace.sockets_join("room");
        Self { runtime, io, namespace, _clients: clients }
    }

    /// The time of `count` calls of `emit` alone; what they queued is sent in between, untimed.
    fn time(&self, count: u64, emit: impl Fn(&Namespace)) -> Duration {
        let mut total = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let burst = left.min(BURST);
            let began = Instant::now();
            for _ in 0..burst {
                emit(&self.namespace);
            }
            total += began.elapsed();
            left -= burst;
            self.runtime.block_on(async {
                for socket in self.namespace.sockets() {
                    socket.drained().await.expect("is connected");
                }
            });
        }
        total
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.runtime.block_on(self.io.close());
    }
}

fn emits(criterion: &mut Criterion) {
    let small_log = Recovery::memory().max_bytes(1 << 20);
    for (receivers, unit) in [(1000, "per delivery"), (1, "per emit"), (0, "per emit")] {
        let mut group = criterion.benchmark_group(format!("to a room of {receivers}, {unit}"));
        group.throughput(Throughput::Elements(receivers.max(1)));
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        group.sample_size(20);
        for (name, recovery) in [("plain", None), ("with recovery", Some(small_log.clone()))] {
            let hall = Hall::new(receivers as usize, recovery);
            group.bench_function(name, |b| {
                b.iter_custom(|count| {
                    hall.time(count, |ns| ns.to("room").emit("post", black_box(TEXT)).expect("is sent"))
                });
            });
        }
    }
}

criterion_group!(benches, codecs, emits);
criterion_main!(benches);

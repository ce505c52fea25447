//! What the core costs without a network: codecs, and putting an event into the outboxes of a room.
//!
//! `cargo bench -p trunkline-bench`; figures are in `bench/RESULTS.md`.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]

mod codecs;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trunkline::testing::Client;
use trunkline::{Durability, Io, Namespace, Recovery};

/// An event as chats have them: 64 bytes of text.
const TEXT: &str = "the quick brown fox jumps over the lazy dog, twice, at midnight";

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
            namespace.open_recovery().expect("its log opens");
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

/// Where logs are written. `TRUNKLINE_BENCH_DIR` names another disk.
fn folder() -> PathBuf {
    let root = std::env::var_os("TRUNKLINE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    root.join(format!("trunkline-bench-{}", std::process::id()))
}

fn kinds(folder: &Path) -> [(&'static str, Option<Recovery>); 5] {
    let file = |durability| Some(Recovery::file(folder).max_bytes(1 << 20).durability(durability));
    [
        ("plain", None),
        ("with recovery", Some(Recovery::memory().max_bytes(1 << 20))),
        ("in a file, none", file(Durability::None)),
        ("in a file, batched", file(Durability::Batched)),
        ("in a file, synced", file(Durability::Synced)),
    ]
}

fn emits(criterion: &mut Criterion) {
    let folder = folder();
    let kinds = kinds(&folder);
    for (receivers, unit) in [(1000, "per delivery"), (1, "per emit"), (0, "per emit")] {
        let mut group = criterion.benchmark_group(format!("to a room of {receivers}, {unit}"));
        group.throughput(Throughput::Elements(receivers.max(1)));
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_millis(1500));
        group.sample_size(20);
        for (name, recovery) in &kinds {
            let hall = Hall::new(receivers as usize, recovery.clone());
            group.bench_function(*name, |b| {
                b.iter_custom(|count| {
                    hall.time(count, |ns| ns.to("room").emit("post", black_box(TEXT)).expect("is sent"))
                });
            });
        }
    }
    drop(std::fs::remove_dir_all(&folder));
}

/// Events that are emitted at once, until the receiver's stream has taken the last of them.
const ROW: u64 = 1_000;

fn rows(criterion: &mut Criterion) {
    let folder = folder();
    let mut group = criterion.benchmark_group("1,000 events to a room of 1, written and sent");
    group.throughput(Throughput::Elements(ROW)).sample_size(20);
    for (name, recovery) in kinds(&folder) {
        let hall = Hall::new(1, recovery);
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..ROW {
                    hall.namespace.to("room").emit("post", black_box(TEXT)).expect("is sent");
                }
                hall.runtime.block_on(async {
                    for socket in hall.namespace.sockets() {
                        socket.drained().await.expect("is open");
                    }
                });
            });
        });
    }
    drop(std::fs::remove_dir_all(&folder));
}

/// A client comes back to a log of 60,000 events in 200 rooms; 300 of them are of its room.
fn recoveries(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let io = Io::builder().shards(1).build();
    let namespace = io.of("/hall").recovery(Recovery::memory().max_bytes(1 << 30));
    let gone = |client: Client| {
        let id = client.id().clone();
        client.cut();
        runtime.block_on(async {
            while namespace.socket(&id).is_some() {
                tokio::task::yield_now().await;
            }
        });
    };
    let client = runtime.block_on(Client::connect(&io, "/hall", None)).expect("connects");
    let auth = serde_json::json!({ "pid": client.private_id() });
    namespace.sockets_join("room-7");
    gone(client);
    for n in 0..60_000 {
        namespace.to(format!("room-{}", n % 200)).emit("post", TEXT).expect("is kept");
    }
    criterion.bench_function("a client comes back: 300 events of 60,000", |b| {
        b.iter_custom(|count| {
            let mut total = Duration::ZERO;
            for _ in 0..count {
                let began = Instant::now();
                let client = runtime.block_on(Client::connect(&io, "/hall", Some(auth.clone())));
                total += began.elapsed();
                let client = client.expect("connects");
                assert_eq!(client.private_id(), auth["pid"].as_str());
                gone(client);
            }
            total
        });
    });
    runtime.block_on(io.close());
}

criterion_group!(benches, codecs::all, emits, rows, recoveries);
criterion_main!(benches);

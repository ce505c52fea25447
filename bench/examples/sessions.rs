//! `sessions [COUNT]`: bytes on the heap that an idle session costs the server where there is no network.
//!
//! Sessions come through hyper and the service as in any server, but on pipes in memory, so that 100,000 fit into one process. Each
//! has entered the namespace and is in a room. All that the heap holds more than before is counted, tables that have doubled
//! included, and divided by COUNT. A pipe stands for the kernel's socket: its own bytes, measured before, are told apart. The goal is
//! 1,200, from 20,000 sessions on (with fewer, what is there once counts for more); `cargo xtask instructions` holds it. With `DHAT=1` a
//! file `dhat-heap.json` tells where the bytes were allocated.

use trunkline::{Io, Socket};
use trunkline_bench::pipe::Pipe;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let is_traced = std::env::var_os("DHAT").is_some();
    let builder = dhat::Profiler::builder();
    let profiler = if is_traced { builder.build() } else { builder.testing().build() };
    let pipe = pipe_size();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let io = Io::builder().shards(1).build();
    io.of("/").on_connect(async |socket: Socket| socket.join("room"));
    let mut clients = Vec::with_capacity(count);
    let before = bytes();
    runtime.block_on(async {
        for _ in 0..count {
            clients.push(Pipe::connect(&io).await);
        }
        // Tasks that have ended are freed when the runtime gets to it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    });
    let each = (bytes() - before) / count - pipe;
    println!("{each} bytes per session, {count} of them; {pipe} bytes more of each pipe");
    drop(profiler);
    std::process::exit(0);
}

fn bytes() -> usize {
    dhat::HeapStats::get().curr_bytes
}

/// What one idle pipe holds on the heap.
fn pipe_size() -> usize {
    const PIPES: usize = 1000;
    let mut pipes = Vec::with_capacity(PIPES);
    let before = bytes();
    pipes.extend((0..PIPES).map(|_| Pipe::default()));
    (bytes() - before) / PIPES
}

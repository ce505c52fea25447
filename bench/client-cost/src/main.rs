//! `client-cost URL CONNECTIONS SECONDS`: opens connections to `bench-server` and prints, as one line of JSON, what they cost.
//!
//! `client.mjs` has the same duty with `socket.io-client`; `run.mjs` runs both. One thread, the system's allocator.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use trunkline_client::{Client, Data, Reconnection, Socket, State, TransportKind};

/// Connections that are opened at the same time.
const OPENING: usize = 50;
/// Quiet time before the resident memory is read: what opening left behind is given back.
const QUIET: Duration = Duration::from_secs(2);
/// Time before a measurement that does not count.
const WARM_UP: Duration = Duration::from_secs(1);
/// The longest wait for what is still on its way.
const PATIENCE: Duration = Duration::from_secs(20);
/// The argument of each message: 64 characters.
const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the handlers of all connections share.
#[derive(Default)]
struct Counters {
    echoes: AtomicU64,
    /// Whether an echo is answered with the next.
    is_echoing: AtomicBool,
    deliveries: AtomicU64,
    /// Told when the last delivery of a round came.
    round: Notify,
    connections: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, connections, seconds] = words.as_slice() else {
        return Err("usage: client-cost URL CONNECTIONS SECONDS".into());
    };
    let connections: usize = connections.parse()?;
    let time = Duration::from_secs(seconds.parse()?);

    let counters = Arc::new(Counters { connections: u64::try_from(connections)?, ..Counters::default() });
    let before = resident()?;
    let began = cpu_time()?;
    let opening = stream::iter(0..connections).map(|_| open(url, &counters)).buffer_unordered(OPENING);
    let sockets: Vec<Socket> = opening.try_collect().await?;
    let connect = cpu_time()?.saturating_sub(began);
    tokio::time::sleep(QUIET).await;
    let idle = resident()?.saturating_sub(before);

    let (echoes, echo) = measure_echo(&sockets, &counters, time).await?;
    let (deliveries, fan_out) = measure_fan_out(&sockets, &counters, time).await?;
    if let Some(lost) = sockets.iter().find(|socket| !socket.is_connected()) {
        return Err(format!("a connection was lost: {lost:?}").into());
    }
    let report = json!({
        "bytesPerConnection": idle / counters.connections,
        "connectMicros": micros_per(connect, counters.connections),
        "echoMicros": micros_per(echo, echoes),
        "echoes": echoes,
        "fanOutMicros": micros_per(fan_out, deliveries),
        "deliveries": deliveries,
    });
    println!("{report}");
    Ok(())
}

/// One connection, in `/`.
async fn open(url: &str, counters: &Arc<Counters>) -> Outcome<Socket> {
    let client = Client::builder(url)
        .transports([TransportKind::WebSocket])
        .reconnection(Reconnection::none())
        .state(Arc::clone(counters))
        .build()?;
    let socket = client.of("/");
    socket.on("echo", echoed).on("msg", delivered);
    socket.connected().await?;
    Ok(socket)
}

async fn echoed(
    socket: Socket,
    Data(text): Data<String>,
    State(counters): State<Arc<Counters>>,
) -> Result<(), trunkline_client::EmitError> {
    counters.echoes.fetch_add(1, Ordering::Relaxed);
    if counters.is_echoing.load(Ordering::Relaxed) { socket.emit("echo", text) } else { Ok(()) }
}

async fn delivered(Data(text): Data<String>, State(counters): State<Arc<Counters>>) {
    drop(text);
    let deliveries = counters.deliveries.fetch_add(1, Ordering::Relaxed) + 1;
    if deliveries.is_multiple_of(counters.connections) {
        counters.round.notify_one();
    }
}

/// Each connection has one message on its way all the time. The number of echoes and the CPU time they took.
async fn measure_echo(sockets: &[Socket], counters: &Counters, time: Duration) -> Outcome<(u64, Duration)> {
    counters.is_echoing.store(true, Ordering::Relaxed);
    for socket in sockets {
        socket.emit("echo", TEXT)?;
    }
    tokio::time::sleep(WARM_UP).await;
    let (echoes, began) = (counters.echoes.load(Ordering::Relaxed), cpu_time()?);
    tokio::time::sleep(time).await;
    let count = counters.echoes.load(Ordering::Relaxed) - echoes;
    let took = cpu_time()?.saturating_sub(began);
    counters.is_echoing.store(false, Ordering::Relaxed);
    // The last ones on their way must not count as part of the fan-out: an acknowledgement comes behind them.
    for socket in sockets {
        socket.timeout(PATIENCE).emit_with_ack::<String>("ack", TEXT).await?;
    }
    Ok((count, took))
}

/// One connection publishes, all hear it, then the next is published. The number of deliveries and the CPU time they took.
async fn measure_fan_out(
    sockets: &[Socket],
    counters: &Counters,
    time: Duration,
) -> Outcome<(u64, Duration)> {
    let publisher = sockets.first().ok_or("no connections")?;
    publish_for(publisher, counters, WARM_UP).await?;
    let (deliveries, began) = (counters.deliveries.load(Ordering::Relaxed), cpu_time()?);
    publish_for(publisher, counters, time).await?;
    let count = counters.deliveries.load(Ordering::Relaxed) - deliveries;
    Ok((count, cpu_time()?.saturating_sub(began)))
}

async fn publish_for(publisher: &Socket, counters: &Counters, time: Duration) -> Outcome<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        publisher.emit("pub", TEXT)?;
        tokio::time::timeout(PATIENCE, counters.round.notified()).await?;
    }
    Ok(())
}

/// CPU time of this process, user and system.
fn cpu_time() -> Outcome<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

fn micros_per(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// Resident bytes of this process.
fn resident() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u64 = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmRSS")?.parse()?;
    Ok(kibibytes * 1024)
}

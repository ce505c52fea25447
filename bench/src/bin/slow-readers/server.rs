//! The server under measurement, in a process of its own: one room, one stream.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use trunkline::{Args, Io, SlowReaders, Socket};

use crate::Failure;
use crate::measure::now;
use crate::options::{EVENT, Options, Policy};

/// The kernel's send buffer of each connection, in bytes: its memory counts too, and the system's default is megabytes.
const SOCKET_BUFFER: usize = 16 * 1024;
/// What may wait for one client, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// Different keys of the stream, for the policy by key.
const KEYS: u64 = 50;

/// Serves until its standard input ends.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let io = Io::builder()
        .shards(1)
        .max_send_buffer(SEND_BUFFER)
        .max_memory(256 << 20)
        .socket_send_buffer(SOCKET_BUFFER)
        .build();
    io.of("/").on_connect(async |socket: Socket| socket.join("room"));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    let listener: std::net::TcpListener = socket.into();
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;

    let counted = io.clone();
    std::thread::spawn(move || {
        // The measuring process holds the other end: it ends with it.
        let _ = std::io::stdin().lines().count();
        let metrics = counted.metrics();
        eprintln!(
            "the server: {} sessions, {} blocked, {} KiB queued in {} KiB; dropped {} oldest, {} outdated, {} readers",
            metrics.sessions,
            metrics.blocked_sessions,
            metrics.queued >> 10,
            metrics.memory >> 10,
            metrics.dropped_oldest,
            metrics.dropped_outdated,
            metrics.dropped_full,
        );
        std::process::exit(0);
    });
    let (stream, policy, frequency) = (io.clone(), options.policy, options.frequency());
    std::thread::spawn(move || broadcast(&stream, policy, frequency));
    trunkline::serve(listener, io.service()).threads(1).run()?;
    Ok(())
}

/// The stream: each event has its number and the time of its sending.
fn broadcast(io: &Io, policy: Policy, frequency: usize) {
    let pause = Duration::from_secs(1) / u32::try_from(frequency).unwrap_or(u32::MAX);
    let padding = "x".repeat(EVENT - 60);
    let mut due = Instant::now();
    for number in 0u64.. {
        let policy = match policy {
            Policy::Disconnect => SlowReaders::disconnect(),
            Policy::DropOldest => SlowReaders::drop_oldest(),
            Policy::LatestByKey => SlowReaders::latest_by_key((number % KEYS).to_string()),
        };
        let event = Args((format!("{number:020}"), format!("{:020}", now()), &padding));
        if let Err(error) = io.to("room").policy(policy).emit("s", event) {
            eprintln!("not sent: {error}");
        }
        due += pause;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// The server's process, seen from outside; it ends when this is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    address: SocketAddr,
}

impl Child {
    /// Starts this program again, as the server.
    pub(crate) fn start(args: &[String]) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(args)
            .arg("--server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(Self { address: line.trim().parse()?, process })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

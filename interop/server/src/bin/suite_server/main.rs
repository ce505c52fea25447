//! The server that the published protocol test suites of Engine.IO and Socket.IO are run against.
//!
//! Usage: `suite-server [PORT] [--eio3]` (port 3000 unless given). The suites for Engine.IO 4 and Socket.IO 5
//! expect every other protocol version to be refused; the suite for Engine.IO 3 needs `--eio3`.
//! `interop/protocol-suites.sh` starts it, runs the suites and ends it.

mod relay;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tower_layer::Layer;
use trunkline::engine::{Engine, Message};
use trunkline::{Args, Cors, EmitError, Io, Namespace, Reply, Socket, Value};

// What the suites expect to find in the handshake, and to be kept.
const PING_INTERVAL: Duration = Duration::from_millis(300);
const PING_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_PAYLOAD: usize = 1_000_000;
// A case waits for the end of a session without CONNECT; mocha gives it two seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
// Between the answer to CONNECT and the event that follows, which trunkline would send together: the cases
// wait for one message and then, with another listener, for the next, which is lost when both come in one read.
const AFTER_CONNECT: Duration = Duration::from_millis(20);
// How late the answers to requests come, and the OPEN packet after a 101.
const LATENCY: Duration = Duration::from_millis(20);

fn main() {
    let (mut port, mut eio3) = (3000, false);
    for arg in std::env::args().skip(1) {
        if arg == "--eio3" {
            eio3 = true;
        } else if let Ok(number) = arg.parse() {
            port = number;
        } else {
            eprintln!("suite-server: neither a port nor --eio3: {arg}");
            std::process::exit(2);
        }
    }
    if let Err(error) = run(port, eio3) {
        fail(&error);
    }
}

fn fail(error: &std::io::Error) -> ! {
    eprintln!("suite-server: {error}");
    std::process::exit(1);
}

fn run(port: u16, eio3: bool) -> std::io::Result<()> {
    let (io, engine) = (io(eio3), engine(eio3));
    let app = io.layer().layer(engine.service());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let behind = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening {}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let server = behind.local_addr()?;
    std::thread::spawn(move || {
        trunkline::serve(behind, app).threads(1).run().unwrap_or_else(|error| fail(&error))
    });
    relay::run(listener, server, LATENCY)
}

/// At /engine.io: whatever comes goes back.
fn engine(eio3: bool) -> Engine {
    Engine::builder()
        .allow_eio3(eio3)
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(MAX_PAYLOAD)
        .cors(Cors::any())
        .on_message(|session, message| {
            // An echo to a session that has just ended is lost with it.
            drop(match message {
                Message::Text(text) => session.send(text),
                Message::Binary(data) => session.send_binary(data),
            });
        })
        .build()
}

/// At /socket.io: two namespaces that tell a client its auth and send its arguments back.
fn io(eio3: bool) -> Io {
    let io = Io::builder()
        .allow_eio3(eio3)
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(MAX_PAYLOAD)
        .connect_timeout(CONNECT_TIMEOUT)
        .cors(Cors::any())
        .build();
    echoing(io.of("/"));
    echoing(io.of("/custom"));
    io
}

fn echoing(ns: Namespace) {
    ns.on_connect(tell_auth)
        .on("message", async |socket: Socket, args: Args<Vec<Value>>| socket.emit("message-back", args))
        .on("message-with-ack", async |args: Args<Vec<Value>>| Reply(args));
}

async fn tell_auth(socket: Socket) -> Result<(), EmitError> {
    tokio::time::sleep(AFTER_CONNECT).await;
    let auth = socket.auth::<Value>().unwrap_or_else(|| Value::Object(Default::default()));
    socket.emit("auth", auth)
}

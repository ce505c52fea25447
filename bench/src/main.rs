//! `bench-server PORT [--uring auto|on|off] [--uring-from RECEIVERS]`: the handlers that all measured servers have.
//!
//! On connection the socket joins `room`; `echo` is emitted back, `ack` is acknowledged with its argument, `pub` goes to
//! `room` as `msg`, the sender included.
//!
//! For the further goals there is the namespace `/rooms`, in which nobody is in a room by itself: `join` enters the rooms that it names,
//! and `to` sends its second argument, any JSON, to the room that its first one names. Options behind the port: `--shards N` (threads too),
//! `--deflate` (permessage-deflate), `--tls FILE` (with a new certificate, which is written there). `bench-server uring` says which way
//! `--uring auto` goes here, and ends.

use trunkline::{Data, Io, Reply, Socket, Uring};
use trunkline_bench::tls;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("uring") {
        match Uring::on() {
            Ok(_) => println!("io_uring is used"),
            Err(error) => println!("{error}, one call for each receiver"),
        }
        return Ok(());
    }
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!(
            "usage: bench-server PORT [--shards N] [--deflate] [--tls FILE] [--uring auto|on|off] [--uring-from RECEIVERS]"
        );
        std::process::exit(2);
    };
    let mut builder = Io::builder().per_message_deflate(options.deflate).uring(options.uring);
    if let Some(shards) = options.shards {
        builder = builder.shards(shards);
    }
    let io = builder.build();
    io.of("/")
        .on_connect(async |socket: Socket| socket.join("room"))
        .on("echo", async |socket: Socket, Data(data): Data<String>| socket.emit("echo", &data))
        .on("ack", async |Data(data): Data<String>| Reply(data))
        .on("pub", async |io: Io, Data(data): Data<String>| io.to("room").emit("msg", &data));
    io.of("/rooms")
        .on_connect(async |_: Socket| {})
        .on("join", async |socket: Socket, Data(rooms): Data<Vec<String>>| {
            socket.join(rooms);
            Reply("joined")
        })
        .on("to", async |io: Io, Data(room): Data<String>, Data(data): Data<serde_json::Value>| {
            io.of("/rooms").to(room).emit("msg", &data)
        });
    let listener = listener(options.port)?;
    let threads = |serve: trunkline::Serve<_>| match options.shards {
        Some(shards) => serve.threads(shards),
        None => serve,
    };
    let serve = match &options.tls {
        Some(file) => {
            let (config, certificate) = tls::server()?;
            std::fs::write(file, &certificate)?;
            trunkline::serve_tls(listener, io.service(), config)
        }
        None => trunkline::serve(listener, io.service()),
    };
    Ok(threads(serve).run()?)
}

#[derive(Default)]
struct Options {
    port: u16,
    shards: Option<usize>,
    deflate: bool,
    tls: Option<String>,
    uring: Uring,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { port: words.next()?.parse().ok()?, ..Self::default() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--shards" => options.shards = Some(words.next()?.parse().ok()?),
                "--deflate" => options.deflate = true,
                "--tls" => options.tls = Some(words.next()?),
                "--uring" => {
                    options.uring = match &*words.next()? {
                        "auto" => Uring::auto(),
                        "off" => Uring::off(),
                        "on" => Uring::on().inspect_err(|error| eprintln!("{error}")).ok()?,
                        _ => return None,
                    }
                }
                "--uring-from" => options.uring = options.uring.from_receivers(words.next()?.parse().ok()?),
                _ => return None,
            }
        }
        Some(options)
    }
}

/// A backlog as long as the other servers' or longer: many thousands connect at once.
fn listener(port: u16) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

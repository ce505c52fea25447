//! `bench-server PORT [--uring auto|on|off] [--uring-from RECEIVERS]`: the handlers that all measured servers have.
//!
//! On connection the socket joins `room`; `echo` is emitted back, `ack` is acknowledged with its argument, `pub` goes to
//! `room` as `msg`, the sender included.

use trunkline::{Data, Io, Reply, Socket, Uring};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((port, uring)) = options(&args) else {
        eprintln!("usage: bench-server PORT [--uring auto|on|off] [--uring-from RECEIVERS]");
        std::process::exit(2);
    };
    let io = Io::builder().uring(uring).build();
    io.of("/")
        .on_connect(async |socket: Socket| socket.join("room"))
        .on("echo", async |socket: Socket, Data(data): Data<String>| socket.emit("echo", &data))
        .on("ack", async |Data(data): Data<String>| Reply(data))
        .on("pub", async |io: Io, Data(data): Data<String>| io.to("room").emit("msg", &data));
    trunkline::serve(listener(port)?, io.service()).run()
}

/// The port, and how broadcasts are sent.
fn options(args: &[String]) -> Option<(u16, Uring)> {
    let (port, mut rest) = args.split_first()?;
    let mut uring = Uring::default();
    while let [name, value, more @ ..] = rest {
        uring = match (name.as_str(), value.as_str()) {
            ("--uring", "auto") => Uring::auto(),
            ("--uring", "off") => Uring::off(),
            ("--uring", "on") => Uring::on().inspect_err(|error| eprintln!("{error}")).ok()?,
            ("--uring-from", number) => uring.from_receivers(number.parse().ok()?),
            _ => return None,
        };
        rest = more;
    }
    if rest.is_empty() { Some((port.parse().ok()?, uring)) } else { None }
}

/// A backlog as long as the other servers' or longer: many thousands connect at once.
fn listener(port: u16) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

//! `bench-server PORT`: the handlers that all measured servers have.
//!
//! On connection the socket joins `room`; `echo` is emitted back, `ack` is acknowledged with its argument, `pub` goes to
//! `room` as `msg`, the sender included.

use trunkline::{Data, Io, Reply, Socket};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|p| p.parse().ok());
    let Some(port) = port else {
        eprintln!("usage: bench-server PORT");
        std::process::exit(2);
    };
    let io = Io::new();
    io.of("/")
        .on_connect(async |socket: Socket| socket.join("room"))
        .on("echo", async |socket: Socket, Data(data): Data<String>| socket.emit("echo", &data))
        .on("ack", async |Data(data): Data<String>| Reply(data))
        .on("pub", async |io: Io, Data(data): Data<String>| io.to("room").emit("msg", &data));
    trunkline::serve(listener(port)?, io.service()).run()
}

/// A backlog as long as the other servers' or longer: many thousands connect at once.
fn listener(port: u16) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

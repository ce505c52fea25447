//! What stands between one client and the server: a proxy on loopback (HTTP CONNECT, RFC 9110 section 9.3.6) that breaks what
//! goes through it. As a proxy it changes nothing of address, `Host` and TLS.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::dice::Dice;

/// How a connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both sides see a reset.
    Reset,
    /// Both sides see an orderly end.
    Close,
    /// Nothing goes through any more, and nobody is told for that long; then both see a reset.
    Silence(Duration),
    /// The client sees a reset. The server is not told for that long: to it the client is still there.
    HalfOpen(Duration),
}

/// What the way through a relay is like.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// `host:port` of the server: nothing else is connected to.
    pub(crate) server: String,
    /// Each piece waits for up to that long.
    pub(crate) delay: Duration,
    /// Bytes per second from the server; `None` is no bound.
    pub(crate) rate: Option<u32>,
}

/// One client's relay. Dropped, it cuts everything and ends.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) port: u16,
    faults: broadcast::Sender<Fault>,
    calm: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// # Errors
    /// If there is no port.
    pub(crate) async fn start(way: Way, mut dice: Dice) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (faults, calm) = (broadcast::Sender::new(4), watch::Sender::new(false));
        let (way, ordered, calmed) = (Arc::new(way), faults.clone(), calm.subscribe());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let path = Path { way: Arc::clone(&way), calm: calmed.clone() };
                let link = Link { path, faults: ordered.subscribe() };
                tokio::spawn(link.run(client, dice.split()));
            }
        });
        Ok(Self { port, faults, calm, accepting })
    }

    /// Breaks all of the client's connections; false if it has none at the moment.
    pub(crate) fn cut(&self, fault: Fault) -> bool {
        self.faults.send(fault).is_ok()
    }

    /// From now on nothing is held back or slowed, and what was half open ends.
    pub(crate) fn calm(&self) {
        self.calm.send_replace(true);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        // Nobody may be there.
        let _ = self.faults.send(Fault::Reset);
        self.calm();
    }
}

/// One connection through the relay.
struct Link {
    path: Path,
    faults: broadcast::Receiver<Fault>,
}

/// How a connection goes through while it does.
struct Path {
    way: Arc<Way>,
    calm: watch::Receiver<bool>,
}

impl Link {
    async fn run(mut self, mut client: TcpStream, dice: Dice) {
        let server = tokio::select! {
            opened = open(&mut client, &self.path.way) => opened,
            // The client is on its way to the server: lost is lost.
            _ = self.faults.recv() => return reset(client),
        };
        let Ok(mut server) = server else { return };
        let fault = tokio::select! {
            // How it ends is the business of the two sides.
            () = self.path.forward(&mut client, &mut server, dice) => return,
            fault = self.faults.recv() => fault.unwrap_or(Fault::Reset),
        };
        match fault {
            Fault::Reset => {
                reset(client);
                reset(server);
            }
            // What was not read would make a reset of it; the ends go first.
            Fault::Close => drop((client.shutdown().await, server.shutdown().await)),
            Fault::Silence(time) => {
                self.path.hold(time).await;
                reset(client);
                reset(server);
            }
            Fault::HalfOpen(time) => {
                reset(client);
                self.path.hold(time).await;
                reset(server);
            }
        }
    }
}

impl Path {
    /// Until both sides have ended, or one fails.
    async fn forward(&self, client: &mut TcpStream, server: &mut TcpStream, mut dice: Dice) {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let (up, down) = (dice.split(), dice);
        drop(tokio::try_join!(
            self.pump(from_client, to_server, None, up),
            self.pump(from_server, to_client, self.way.rate, down),
        ));
    }

    async fn pump(
        &self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        rate: Option<u32>,
        mut dice: Dice,
    ) -> io::Result<()> {
        let mut buffer = vec![0; if rate.is_some() { SLOW_PIECE } else { PIECE }];
        loop {
            let n = from.read(&mut buffer).await?;
            let Some(piece) = buffer.get(..n).filter(|piece| !piece.is_empty()) else {
                return to.shutdown().await;
            };
            let mut wait = dice.time(self.way.delay);
            if let Some(rate) = rate {
                wait += Duration::from_secs(n as u64) / rate.max(1);
            }
            if !wait.is_zero() {
                self.hold(wait).await;
            }
            to.write_all(piece).await?;
        }
    }

    /// Waits, but not longer than the relay's storm.
    async fn hold(&self, time: Duration) {
        let mut calm = self.calm.clone();
        tokio::select! {
            () = sleep(time) => {}
            _ = calm.wait_for(|calm| *calm) => {}
        }
    }
}

/// Reads the client's CONNECT, connects to the server, and says so.
async fn open(client: &mut TcpStream, way: &Way) -> io::Result<TcpStream> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Before the answer the client sends nothing else (RFC 9110 section 9.3.6).
        if head.len() > MAX_HEAD || client.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let wanted = head.strip_prefix(b"CONNECT ").and_then(|rest| rest.split(|byte| *byte == b' ').next());
    if wanted != Some(way.server.as_bytes()) {
        client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await?;
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    match dial(way).await {
        Ok(server) => {
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            Ok(server)
        }
        Err(error) => {
            client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await?;
            Err(error)
        }
    }
}

async fn dial(way: &Way) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in lookup_host(&way.server).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if way.rate.is_some() {
            // What waits shall wait at the server, not in the kernel here.
            socket.set_recv_buffer_size(SLOW_BUFFER)?;
        }
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Ends a connection with a reset: what was sent and not yet read is lost on both ways.
fn reset(stream: TcpStream) {
    // Without it the end is an orderly one, which is a loss too.
    drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
    drop(stream);
}

/// Bytes forwarded at a time.
const PIECE: usize = 16 * 1024;
/// Bytes forwarded at a time to a slow reader.
const SLOW_PIECE: usize = 512;
/// The kernel's buffer for a slow reader, in bytes.
const SLOW_BUFFER: u32 = 4 * 1024;
/// The longest CONNECT.
const MAX_HEAD: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's listener, and a relay to it.
    async fn start() -> (TcpListener, Relay) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let server = listener.local_addr().expect("a bound listener").to_string();
        let way = Way { server, delay: Duration::ZERO, rate: None };
        (listener, Relay::start(way, Dice::new(1)).await.expect("a port"))
    }

    /// A connection to the relay that asked for `server`, and the answer.
    async fn ask(relay: &Relay, server: &str) -> (TcpStream, String) {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port)).await.expect("it listens");
        let request = format!("CONNECT {server} HTTP/1.1\r\nhost: {server}\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            assert!(client.read_buf(&mut answer).await.expect("it answers") > 0);
        }
        (client, String::from_utf8(answer).expect("text"))
    }

    /// Both ends of a connection through the relay.
    async fn connection(listener: &TcpListener, relay: &Relay) -> (TcpStream, TcpStream) {
        let address = listener.local_addr().expect("a bound listener").to_string();
        let ((client, answer), server) = tokio::join!(ask(relay, &address), listener.accept());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        (client, server.expect("the relay connects").0)
    }

    async fn is_reset(stream: &mut TcpStream) -> bool {
        let end = stream.read(&mut [0; 8]).await;
        end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
    }

    #[tokio::test]
    async fn what_is_half_open_is_told_to_the_client_alone() {
        let (listener, relay) = start().await;
        let (mut client, mut server) = connection(&listener, &relay).await;
        client.write_all(b"ping").await.expect("open");
        let mut heard = [0; 4];
        server.read_exact(&mut heard).await.expect("open");
        assert_eq!(&heard, b"ping");

        assert!(relay.cut(Fault::HalfOpen(Duration::from_secs(3_600))));
        assert!(is_reset(&mut client).await);
        server.write_all(b"anybody there?").await.expect("the server knows of nothing");
        relay.calm();
        assert!(is_reset(&mut server).await);
        assert!(!relay.cut(Fault::Reset), "nothing is left to cut");
    }

    #[tokio::test]
    async fn resets_and_orderly_ends() {
        let (listener, relay) = start().await;
        let (mut client, mut server) = connection(&listener, &relay).await;
        assert!(relay.cut(Fault::Reset));
        assert!(is_reset(&mut client).await && is_reset(&mut server).await);
        let (mut client, mut server) = connection(&listener, &relay).await;
        assert!(relay.cut(Fault::Close));
        assert_eq!(client.read(&mut [0; 8]).await.expect("no reset"), 0);
        assert_eq!(server.read(&mut [0; 8]).await.expect("no reset"), 0);
        let (mut client, server) = connection(&listener, &relay).await;
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).await.expect("no reset"), 0);
    }

    #[tokio::test]
    async fn it_leads_to_its_server_alone() {
        let (listener, relay) = start().await;
        let (_, answer) = ask(&relay, "127.0.0.1:1").await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        drop(listener);
    }
}

//! Raw WebSocket clients, one task each on one thread.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use trunkline_proto::ws::{self, Event, OpCode};

use crate::Failure;
use crate::measure::{Lateness, now};
use crate::options::Options;

/// The kernel's receive buffer of a client, in bytes: what a client far away holds is not the server's, here it is in the same figure.
const RECEIVE_BUFFER: u32 = 16 * 1024;
/// How often one that does not read says that it lives: the slowest reader is one whom no heartbeat finds.
const ALIVE: Duration = Duration::from_secs(5);
/// For a connection, or one step of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections being opened at a time.
const OPENING: usize = 64;

/// All clients, and what they have seen.
pub(crate) struct Clients {
    seen: Arc<Mutex<Seen>>,
    /// Clients with a lower number do not read.
    stalled: watch::Sender<usize>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    /// Microseconds from sending to reading.
    times: Vec<u32>,
    /// What must not happen to those that read.
    wrong: Vec<String>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clients {
    /// Opens all connections; each is in the room then.
    pub(crate) async fn connect(address: SocketAddr, options: &Options) -> Result<Self, Failure> {
        let seen = Arc::<Mutex<Seen>>::default();
        let (stalled, reading) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let mut opening = JoinSet::new();
        for number in 0..options.clients {
            if opening.len() >= OPENING {
                tasks.spawn(opened(&mut opening).await?.run());
            }
            opening.spawn(Client::open(address, number, Arc::clone(&seen), reading.clone()));
        }
        while !opening.is_empty() {
            tasks.spawn(opened(&mut opening).await?.run());
        }
        Ok(Self { seen, stalled, _tasks: tasks })
    }

    /// How late events were since the last call, at those that read.
    pub(crate) fn lateness(&self) -> Lateness {
        Lateness::of(std::mem::take(&mut lock(&self.seen).times))
    }

    /// Has so many clients stop reading; gives their number.
    pub(crate) fn stall(&self, clients: usize) -> usize {
        self.stalled.send_replace(clients);
        clients
    }

    /// Those that read on have missed nothing.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let wrong = &lock(&self.seen).wrong;
        match wrong.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} clients were let down, the first: {first}", wrong.len()).into()),
        }
    }
}

async fn opened(opening: &mut JoinSet<io::Result<Client>>) -> Result<Client, Failure> {
    let joined = tokio::time::timeout(PATIENCE, opening.join_next()).await?;
    Ok(joined.ok_or("nothing is being opened")???)
}

struct Client {
    number: usize,
    stream: TcpStream,
    decoder: ws::Decoder,
    seen: Arc<Mutex<Seen>>,
    stalled: watch::Receiver<usize>,
    /// The number of the event that is to come.
    next: Option<u64>,
    is_in: bool,
}

impl Client {
    async fn open(
        address: SocketAddr,
        number: usize,
        seen: Arc<Mutex<Seen>>,
        stalled: watch::Receiver<usize>,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let stream = socket.connect(address).await?;
        let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        let decoder = ws::Decoder::new(ws::Role::Client, ws::Limits::default(), false);
        let mut client = Self { number, stream, decoder, seen, stalled, next: None, is_in: false };
        client.write(request.as_bytes()).await?;
        let mut head = Vec::new();
        let mut rest = loop {
            head.extend(client.read().await?);
            if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                break head.split_off(end + 4);
            }
        };
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        client.send("40").await?;
        loop {
            let answer = client.take(&mut rest);
            client.answer(answer).await?;
            if client.is_in {
                return Ok(client);
            }
            rest = client.read().await?;
        }
    }

    async fn run(mut self) {
        let mut stalled = self.stalled.clone();
        loop {
            let read = tokio::select! {
                read = self.read() => read,
                changed = stalled.changed() => {
                    if changed.is_err() || *stalled.borrow() > self.number {
                        return self.stay().await;
                    }
                    continue;
                }
            };
            let answered = match read {
                Ok(mut bytes) => {
                    let answer = self.take(&mut bytes);
                    self.answer(answer).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                return self.complain(&error.to_string());
            }
        }
    }

    /// Reads nothing more, and says now and then that it lives.
    async fn stay(mut self) {
        loop {
            tokio::time::sleep(ALIVE).await;
            // The server may have given it up: so it should, with the default policy.
            if self.send("3").await.is_err() {
                return;
            }
        }
    }

    /// What has come.
    async fn read(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 4096];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => return Ok(buffer[..n].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the packets; true if there was a ping.
    fn take(&mut self, mut bytes: &mut [u8]) -> bool {
        let mut is_pinged = false;
        let mut complaint = None;
        loop {
            match self.decoder.decode(bytes) {
                Ok((used, event)) => {
                    let is_end = event.is_none();
                    match event {
                        Some(Event::Text("2")) => is_pinged = true,
                        Some(Event::Text(text)) if text.starts_with("40") => self.is_in = true,
                        Some(Event::Text(text)) if text.starts_with("42") => match Arrived::parse(text) {
                            Some(Arrived { number, sent }) => {
                                if self.next.is_some_and(|next| next != number) {
                                    complaint = Some(format!("{number} came instead of {:?}", self.next));
                                }
                                self.next = Some(number + 1);
                                let micros = now().saturating_sub(sent) / 1000;
                                lock(&self.seen).times.push(u32::try_from(micros).unwrap_or(u32::MAX));
                            }
                            None => complaint = Some(format!("what is this: {text}")),
                        },
                        _ => {}
                    }
                    bytes = &mut std::mem::take(&mut bytes)[used..];
                    if is_end {
                        break;
                    }
                }
                Err(violation) => {
                    complaint = Some(violation.to_string());
                    break;
                }
            }
        }
        if let Some(complaint) = complaint {
            self.complain(&complaint);
        }
        is_pinged
    }

    async fn answer(&mut self, is_pinged: bool) -> io::Result<()> {
        if is_pinged { self.send("3").await } else { Ok(()) }
    }

    fn complain(&self, what: &str) {
        lock(&self.seen).wrong.push(format!("client {}: {what}", self.number));
    }

    async fn send(&mut self, text: &str) -> io::Result<()> {
        let mut frame = Vec::new();
        ws::encode_frame(&mut frame, OpCode::Text, false, text.as_bytes(), Some([1, 2, 3, 4]));
        self.write(&frame).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        tokio::io::AsyncWriteExt::write_all(&mut self.stream, bytes).await
    }
}

/// An event of the stream.
struct Arrived {
    number: u64,
    /// When it was sent, as [`now`] says.
    sent: u64,
}

impl Arrived {
    /// Of `42["s","<number>","<time>",…`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("42[\"s\",\"")?.split("\",\"");
        Some(Self { number: parts.next()?.parse().ok()?, sent: parts.next()?.parse().ok()? })
    }
}

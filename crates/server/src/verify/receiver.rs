//! One client that listens, behind a relay of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use trunkline_client::{
    Args, Changes, Client, ConnectError, Data, DisconnectReason, Lifecycle, Reconnection, Socket, State,
    Value,
};

use super::dice::Dice;
use super::ledger::{Heard, Published};
use super::options::Options;
use super::relay::{Relay, Way};
use crate::Failure;
use crate::console::{self, error_of};

/// What is published.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Numbered {
    pub(crate) room: String,
    pub(crate) n: u64,
    /// When it was sent: µs since the run began.
    pub(crate) at: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) pad: String,
}

/// What all clients of a run share.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) began: Instant,
    pub(crate) join_event: String,
    pub(crate) times: Mutex<Times>,
    pub(crate) counts: Counts,
}

/// How long events were on their way, in µs.
#[derive(Debug)]
pub(crate) struct Times {
    /// To clients that were connected when they were sent.
    pub(crate) live: Histogram<u64>,
    /// To clients that were away.
    pub(crate) replayed: Histogram<u64>,
}

/// What happened to all clients.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connects: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) connect_errors: AtomicU64,
    pub(crate) disconnects: AtomicU64,
    /// Events of rooms that the client never entered.
    pub(crate) stray: AtomicU64,
}

impl Run {
    /// µs since the run began.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A room: its name and what was published there.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) published: Mutex<Published>,
}

/// Who stays in a room, whatever happens to its connection: a receiver or a publisher.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) run: Arc<Run>,
    pub(crate) room: Arc<Room>,
    pub(crate) heard: Mutex<Heard>,
    /// Whether the server has confirmed that it is in its room, or why not.
    pub(crate) joined: watch::Sender<Joined>,
    /// The changes in order: `Connect` there says whether the very connection was recovered that a handler is told of.
    changes: tokio::sync::Mutex<Option<Changes>>,
    /// When it was connected, in µs since the run began.
    since: AtomicU64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Joined {
    No,
    Yes,
    /// The server, or the way to it, says why not.
    Failed(String),
}

/// A receiver, its client and its relay.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) member: Arc<Member>,
    pub(crate) relay: Relay,
    pub(crate) socket: Socket,
    client: Client,
}

impl Receiver {
    /// # Errors
    /// What of the options cannot be used.
    pub(crate) async fn start(
        options: &Options,
        run: &Arc<Run>,
        room: &Arc<Room>,
        is_slow: bool,
        dice: Dice,
    ) -> Result<Self, Failure> {
        let way = Way {
            server: options.connection.target.authority(),
            delay: options.delay,
            rate: is_slow.then_some(options.slow_rate),
        };
        let relay = Relay::start(way, dice)
            .await
            .map_err(|error| Failure::system(format!("no port for a relay: {error}")))?;
        let member = Member::new(run, room);
        let delay = options.reconnect_delay;
        let builder = console::builder(&options.connection)?
            .proxy(&format!("http://127.0.0.1:{}", relay.port))
            .reconnection(Reconnection::default().delay(delay).delay_max(delay * 10))
            .state(Arc::clone(&member));
        let client = console::build(builder)?;
        let socket = member.enter(&client, &options.connection.target.namespace).await;
        socket.on(&options.event, heard);
        socket.connect();
        Ok(Self { member, relay, socket, client })
    }

    /// Whether something is still to come.
    pub(crate) fn is_missing(&self) -> bool {
        let heard = lock(&self.member.heard);
        heard.is_missing(&lock(&self.member.room.published))
    }

    pub(crate) async fn close(self) {
        // A server that takes nothing any more is not worth more time.
        drop(tokio::time::timeout(GOODBYE, self.client.close()).await);
    }
}

impl Member {
    pub(crate) fn new(run: &Arc<Run>, room: &Arc<Room>) -> Arc<Self> {
        Arc::new(Self {
            run: Arc::clone(run),
            room: Arc::clone(room),
            heard: Mutex::default(),
            joined: watch::Sender::new(Joined::No),
            changes: tokio::sync::Mutex::new(None),
            since: AtomicU64::new(0),
        })
    }

    /// The client's socket, which keeps to the room; not connecting yet.
    pub(crate) async fn enter(&self, client: &Client, namespace: &str) -> Socket {
        let socket = client.socket(namespace).build();
        *self.changes.lock().await = Some(socket.lifecycle());
        socket.on_connect(connected).on_disconnect(disconnected).on_connect_error(failed);
        socket
    }

    /// Whether the connection that is being told of was recovered.
    async fn is_recovered(&self) -> bool {
        // Handlers run one after another, and each `Connect` is in the stream before its handler runs.
        if let Some(changes) = &mut *self.changes.lock().await {
            while let Some(change) = changes.next().await {
                if let Lifecycle::Connect { recovered } = change {
                    return recovered;
                }
            }
        }
        false
    }

    async fn join(&self, socket: &Socket) {
        for _ in 0..JOINS {
            let answer =
                socket.emit_with_ack::<Args<Vec<Value>>>(&self.run.join_event, &self.room.name).await;
            match answer {
                Ok(Args(values)) => match error_of(&values) {
                    None => {
                        // What is sent from here on must come; what was sent before may have come.
                        let next = lock(&self.room.published).next();
                        lock(&self.heard).close_gap(next);
                        self.joined.send_replace(Joined::Yes);
                        return;
                    }
                    Some(error) => {
                        let error = console::json_line(&console::Json(error));
                        self.joined.send_replace(Joined::Failed(format!("join was refused: {error}")));
                    }
                },
                Err(error) => {
                    self.joined.send_replace(Joined::Failed(format!("join: {error}")));
                }
            }
            if !socket.is_connected() {
                return;
            }
            tokio::time::sleep(JOIN_PAUSE).await;
        }
    }
}

async fn connected(socket: Socket, State(member): State<Arc<Member>>) {
    let counts = &member.run.counts;
    counts.connects.fetch_add(1, Ordering::Relaxed);
    member.since.store(member.run.now(), Ordering::Relaxed);
    if member.is_recovered().await {
        counts.recovered.fetch_add(1, Ordering::Relaxed);
    } else {
        // At the start nothing has been published.
        lock(&member.heard).open_gap();
        member.joined.send_replace(Joined::No);
    }
    // A connection may be recovered whose join was never confirmed.
    if *member.joined.borrow() != Joined::Yes {
        member.join(&socket).await;
    }
}

async fn disconnected(_: DisconnectReason, State(member): State<Arc<Member>>) {
    member.run.counts.disconnects.fetch_add(1, Ordering::Relaxed);
    member.since.store(u64::MAX, Ordering::Relaxed);
}

async fn failed(error: ConnectError, State(member): State<Arc<Member>>) {
    member.run.counts.connect_errors.fetch_add(1, Ordering::Relaxed);
    member.joined.send_if_modified(|joined| {
        let is_news = *joined != Joined::Yes;
        if is_news {
            *joined = Joined::Failed(error.to_string());
        }
        is_news
    });
}

/// Behind the data there may be more, such as an offset.
async fn heard(State(member): State<Arc<Member>>, Data(event): Data<Numbered>) {
    if event.room != member.room.name {
        member.run.counts.stray.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let took = member.run.now().saturating_sub(event.at);
    lock(&member.heard).event(event.n);
    let mut times = lock(&member.run.times);
    let is_live = event.at >= member.since.load(Ordering::Relaxed);
    let histogram = if is_live { &mut times.live } else { &mut times.replayed };
    histogram.saturating_record(took);
}

/// A lock whose holders only count: what one that panicked left is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a join is tried on one connection.
const JOINS: usize = 5;
const JOIN_PAUSE: Duration = Duration::from_millis(500);
/// How long the end of a client may take.
const GOODBYE: Duration = Duration::from_secs(1);

//! A client made from the command line, and what happens to it as a stream in order.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use trunkline_client::{
    Ack, Args, BuildError, Builder, Changes, Client, ConnectError, DisconnectReason, EventName, ExtractError,
    Lifecycle, Reconnection, Recovered, Socket, State, TransportKind, Value,
};

use super::args::MAX_FILE;
use super::options::{Options, Transport};
use super::report::Report;
use super::trust;
use crate::{Failure, say};

/// A socket of a client of its own.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    client: Client,
    told: mpsc::Receiver<Told>,
    changes: Changes,
    reconnects: bool,
    /// By what the connection goes, as it was told last.
    told_transport: Option<TransportKind>,
    /// The next attempt to reconnect, to be told behind the loss that it follows: that comes by way of the handlers, whose
    /// turn is behind events.
    attempt: Option<Report>,
    /// Whether a loss was told whose next attempt was not.
    is_lost: bool,
}

/// What happens to a connection.
#[derive(Debug)]
pub(crate) enum Happening {
    /// An event from the server. The answer is wanted only where [`Ack::is_wanted`]; dropped, it says that nobody answers.
    Event { name: String, args: Result<Vec<Value>, String>, ack: Answer },
    /// Anything else.
    Life(Report),
}

/// The answer to be given to the server.
pub(crate) type Answer = Ack<Args<Vec<Value>>>;

/// What handlers tell.
#[derive(Debug)]
enum Told {
    Event {
        name: String,
        args: Result<Vec<Value>, String>,
        ack: Answer,
    },
    /// Whether it was recovered.
    Connect(bool),
    Disconnect(DisconnectReason),
    ConnectError(ConnectError),
}

impl Connection {
    /// Makes the client and lets it connect. Without `listens` events are dropped.
    ///
    /// # Errors
    /// What of the options cannot be used: exit code 2.
    pub(crate) fn open(options: &Options, listens: bool, reconnects: bool) -> Result<Self, Failure> {
        let (sender, told) = mpsc::channel(TOLD);
        let client = client(options, sender, reconnects)?;
        let socket = client.socket(&options.target.namespace).build();
        if listens {
            // The event's own task waits while the output is slow; so reading stops, and nothing is lost.
            socket.on_any(tell_event).on_connect(tell_connect);
            socket.on_disconnect(tell_disconnect).on_connect_error(tell_connect_error);
        }
        let changes = socket.lifecycle();
        socket.connect();
        Ok(Self {
            socket,
            client,
            told,
            changes,
            reconnects,
            told_transport: None,
            attempt: None,
            is_lost: false,
        })
    }

    /// What happens next; `None` at the end of the client. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<Happening> {
        loop {
            if self.is_lost
                && let Some(attempt) = self.attempt.take()
            {
                self.is_lost = false;
                return Some(Happening::Life(attempt));
            }
            tokio::select! {
                biased;
                told = self.told.recv() => return Some(self.happening(told?)),
                change = self.changes.next() => match change? {
                    Lifecycle::ReconnectIn { attempt, delay } => {
                        self.attempt = Some(Report::Reconnecting { attempt, delay });
                    }
                    Lifecycle::Upgraded(transport) if self.is_news(transport) => {
                        self.told_transport = Some(transport);
                        let transport = name(transport).to_owned();
                        return Some(Happening::Life(Report::Upgraded { transport }));
                    }
                    _ => {}
                },
            }
        }
    }

    /// By what the connection goes, in the words of the protocol.
    pub(crate) fn transport(&self) -> &'static str {
        self.client.transport().map_or("none", name)
    }

    /// Whether the connection that was told goes on by this transport; otherwise the transport will be told with it.
    fn is_news(&self, transport: TransportKind) -> bool {
        self.told_transport.is_some_and(|told| told != transport)
            && self.client.transport() == Some(transport)
    }

    /// Ends the connection, within [`GOODBYE`]: nobody asks what became of the rest.
    pub(crate) async fn close(self) {
        // A server that takes nothing any more is not worth more time.
        drop(timeout(GOODBYE, self.client.close()).await);
    }

    /// Sends what is queued, within the time of the options, and ends the connection.
    ///
    /// # Errors
    /// If something was not sent; what to say then.
    pub(crate) async fn finish(self) -> Result<(), &'static str> {
        if self.client.close().await { Ok(()) } else { Err("not everything was sent") }
    }

    fn happening(&mut self, told: Told) -> Happening {
        Happening::Life(match told {
            Told::Event { name, args, ack } => return Happening::Event { name, args, ack },
            Told::Connect(recovered) => {
                self.told_transport = self.client.transport();
                self.is_lost = false;
                Report::Connected {
                    namespace: self.socket.namespace().to_owned(),
                    // It may be lost again already.
                    id: self.socket.id().unwrap_or_default(),
                    transport: self.transport().to_owned(),
                    recovered,
                }
            }
            Told::Disconnect(reason) => {
                self.told_transport = None;
                let comes_back = self.reconnects && reason.reconnects();
                self.is_lost = comes_back;
                Report::Disconnected { reason: reason.to_string(), comes_back }
            }
            Told::ConnectError(error) => {
                let comes_back = self.reconnects && self.socket.is_active();
                self.is_lost = comes_back;
                Report::connect_error(&error, comes_back)
            }
        })
    }
}

fn name(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Polling => "polling",
        TransportKind::WebSocket => "websocket",
    }
}

fn client(options: &Options, sender: mpsc::Sender<Told>, reconnects: bool) -> Result<Client, Failure> {
    let mut builder = builder(options)?.close_timeout(options.timeout).state(sender);
    if !reconnects {
        builder = builder.reconnection(Reconnection::none());
    }
    build(builder)
}

/// A client as the options describe it, which connects when told to.
///
/// # Errors
/// What of the options cannot be used: exit code 2.
pub(crate) fn builder(options: &Options) -> Result<Builder, Failure> {
    let bytes = usize::try_from(2 * MAX_FILE).unwrap_or(usize::MAX);
    let mut builder = Client::builder(&options.target.server)
        .auto_connect(false)
        .connect_timeout(options.timeout)
        .ack_timeout(options.timeout)
        .max_send_buffer(bytes)
        .max_offline_buffer(bytes)
        .max_payload(bytes)
        .max_attachments(ATTACHMENTS);
    builder = match options.transport {
        Transport::WebSocket => builder.transports([TransportKind::WebSocket]),
        Transport::Polling => builder.transports([TransportKind::Polling]).upgrade(false),
        // Servers without polling exist.
        Transport::Upgrade => builder.try_all_transports(true),
    };
    if options.msgpack {
        builder = builder.msgpack();
    }
    if let Some(auth) = &options.auth {
        builder = builder.auth(auth);
    }
    if let Some(path) = &options.path {
        builder = builder.path(path);
    }
    if let Some(proxy) = &options.proxy {
        builder = builder.proxy(proxy);
    }
    if let Some(tls) = trust::config(options)? {
        builder = builder.tls(tls);
    }
    if options.insecure {
        say("trunkline: warning: --insecure: anybody can pretend to be this server and read everything");
    }
    if !options.cookies.is_empty() {
        builder = builder.header("cookie", &options.cookies.join("; "));
    }
    for (name, value) in &options.headers {
        builder = builder.header(name, value);
    }
    for (name, value) in &options.query {
        builder = builder.query(name, value);
    }
    Ok(builder)
}

/// The client.
///
/// # Errors
/// What cannot be used: exit code 2.
pub(crate) fn build(builder: Builder) -> Result<Client, Failure> {
    builder.build().map_err(|error| match error {
        BuildError::NoRuntime | BuildError::Random(_) => Failure::system(error.to_string()),
        _ => Failure::config(error.to_string()),
    })
}

async fn tell_event(
    EventName(name): EventName,
    args: Result<Args<Vec<Value>>, ExtractError>,
    ack: Answer,
    State(told): State<mpsc::Sender<Told>>,
) {
    let args = args.map(|Args(args)| args).map_err(|error| error.to_string());
    // Nobody is interested at the end.
    drop(told.send(Told::Event { name, args, ack }).await);
}

async fn tell_connect(Recovered(recovered): Recovered, State(told): State<mpsc::Sender<Told>>) {
    drop(told.send(Told::Connect(recovered)).await);
}

async fn tell_disconnect(reason: DisconnectReason, State(told): State<mpsc::Sender<Told>>) {
    drop(told.send(Told::Disconnect(reason)).await);
}

async fn tell_connect_error(error: ConnectError, State(told): State<mpsc::Sender<Told>>) {
    drop(told.send(Told::ConnectError(error)).await);
}

/// Events on their way from the client to the output; more wait in the client, within its bounds.
const TOLD: usize = 16;
/// Attachments taken per packet: many more than the client's default, since everything a server sends is to be seen.
const ATTACHMENTS: usize = 1_000;
/// How long the end may take.
const GOODBYE: Duration = Duration::from_secs(3);

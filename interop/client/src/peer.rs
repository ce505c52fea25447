//! A socket of the client under test that keeps what it hears until somebody asks for it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use trunkline_client::{
    Args, Changes, Client, DisconnectReason, EmitError, Lifecycle, Socket, TransportKind, Value,
};

use crate::failure::{Failure, Outcome, STEP, equal, within};

/// Events that are collected from the first moment on, so that none is missed.
const COLLECTED: [&str; 7] = ["auth", "echo", "answer", "answers", "said", "n", "gone"];
/// The key of disconnects among them.
const DISCONNECT: &str = "disconnect";

/// One socket, what it heard, and what happened to it.
pub(crate) struct Peer {
    pub(crate) socket: Socket,
    pub(crate) client: Client,
    inboxes: HashMap<&'static str, Mutex<UnboundedReceiver<Vec<Value>>>>,
    changes: Mutex<Changes>,
}

impl Peer {
    /// The socket of a namespace, connecting.
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        let socket = client.socket(namespace).build();
        let mut inboxes = HashMap::new();
        for event in COLLECTED {
            let (sender, inbox) = unbounded_channel();
            inboxes.insert(event, Mutex::new(inbox));
            socket.on(event, move |Args(values): Args<Vec<Value>>| collect(sender.clone(), values));
        }
        let (sender, inbox) = unbounded_channel();
        inboxes.insert(DISCONNECT, Mutex::new(inbox));
        socket.on_disconnect(move |reason: DisconnectReason| {
            collect(sender.clone(), vec![reason.as_str().into()])
        });
        let changes = Mutex::new(socket.lifecycle());
        socket.connect();
        Self { socket, client: client.clone(), inboxes, changes }
    }

    /// Another namespace over the same connection, connected.
    pub(crate) async fn sibling(&self, namespace: &str) -> Outcome<Self> {
        let peer = Self::new(&self.client, namespace);
        peer.connected().await?;
        Ok(peer)
    }

    /// Waits until it is connected.
    pub(crate) async fn connected(&self) -> Outcome {
        Ok(within("connect", self.socket.connected()).await??)
    }

    /// The id of a connected socket.
    pub(crate) fn id(&self) -> Outcome<String> {
        self.socket.id().ok_or_else(|| Failure::new("the socket has no id"))
    }

    pub(crate) fn emit(&self, event: &str, args: Vec<Value>) -> Result<(), EmitError> {
        self.socket.emit(event, Args(args))
    }

    /// Emits and waits for the answer's arguments.
    pub(crate) async fn call(&self, event: &str, args: Vec<Value>) -> Outcome<Vec<Value>> {
        self.call_within(STEP, event, args).await
    }

    /// The same with another timeout.
    pub(crate) async fn call_within(
        &self,
        timeout: Duration,
        event: &str,
        args: Vec<Value>,
    ) -> Outcome<Vec<Value>> {
        let answer = self.socket.timeout(timeout).emit_with_ack::<Args<Vec<Value>>>(event, Args(args)).await;
        let Args(values) = answer.map_err(|error| Failure::new(format!("{event}: {error}")))?;
        Ok(values)
    }

    /// The arguments of the next such event that was or will be collected.
    pub(crate) async fn next(&self, event: &str) -> Outcome<Vec<Value>> {
        let inbox =
            self.inboxes.get(event).ok_or_else(|| Failure::new(format!("{event} is not collected")))?;
        let mut inbox = inbox.lock().await;
        let values = within(&format!("event {event}"), inbox.recv()).await?;
        values.ok_or_else(|| Failure::new(format!("event {event}: the socket is gone")))
    }

    /// Waits for the event and compares its arguments.
    pub(crate) async fn expect(&self, event: &str, expected: Vec<Value>) -> Outcome {
        equal(self.next(event).await?, expected)
    }

    /// The reason of the next disconnect.
    pub(crate) async fn disconnected(&self) -> Outcome<String> {
        let reason = self.next(DISCONNECT).await?;
        Ok(reason.first().and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Waits for the next connection that was not yet waited for here; whether it was recovered.
    pub(crate) async fn next_connect(&self) -> Outcome<bool> {
        let mut changes = self.changes.lock().await;
        let next = async {
            while let Some(change) = changes.next().await {
                if let Lifecycle::Connect { recovered } = change {
                    return Ok(recovered);
                }
            }
            Err(Failure::new("the client is gone"))
        };
        within("the connection", next).await?
    }

    /// Waits, with round trips meanwhile, until the connection goes by `transport`.
    pub(crate) async fn reach(&self, transport: TransportKind) -> Outcome {
        let reached = async {
            while self.client.transport() != Some(transport) {
                self.call("echo-ack", Vec::new()).await?;
            }
            Ok(())
        };
        within("the last transport", reached).await?
    }
}

async fn collect(inbox: UnboundedSender<Vec<Value>>, values: Vec<Value>) {
    // The case may be over.
    drop(inbox.send(values));
}

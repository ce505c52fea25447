//! The echo by HTTP long-polling, with the client library: requests are what costs there.

use trunkline_client::{
    Args, Changes, Client, DisconnectReason, Event, Events, Lifecycle, Reconnection, Socket, TransportKind,
    Value,
};

use super::lost::Lost;
use super::owed::Owed;
use super::roles::Load;
use super::tally::Kind;
use crate::Failure;
use crate::console;

impl Load {
    /// Keeps messages under way, whose answers have what was sent.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(crate) async fn poll(&self) -> Result<(), Lost> {
        let opened = self.entered(self.open_polling()).await;
        self.course.opened(opened.is_ok());
        let (_client, socket, mut events, mut changes) = opened?;
        let (mut owed, mut patience) = self.owed(Kind::Polling);
        let mut number = 0;
        loop {
            while self.course.is_sending() && owed.len() < self.options.inflight {
                let text = self.text(number);
                socket.emit(&self.options.echo_event, &text).map_err(|error| error.to_string())?;
                owed.sent(number, text);
                number += 1;
            }
            let turn = async {
                tokio::select! {
                    event = events.next() => event.ok_or_else(|| "the connection was lost".into()),
                    why = lost(&mut changes) => Err(why),
                }
            };
            let event = patience.wait(owed.oldest(), turn).await?;
            self.heard_by_polling(&event, &mut owed)?;
        }
    }

    async fn open_polling(&self) -> Result<(Client, Socket, Events, Changes), Lost> {
        let cannot = |failure: Failure| Lost::Failed(failure.to_string());
        let builder = console::builder(&self.options.connection).map_err(cannot)?;
        let builder =
            builder.transports([TransportKind::Polling]).upgrade(false).reconnection(Reconnection::none());
        let client: Client = console::build(builder).map_err(cannot)?;
        let socket = client.socket(&self.address.namespace).build();
        let (events, changes) = (socket.events(), socket.lifecycle());
        socket.connect();
        socket.connected().await.map_err(|error| error.to_string())?;
        Ok((client, socket, events, changes))
    }

    fn heard_by_polling(&self, event: &Event, owed: &mut Owed) -> Result<(), Lost> {
        if event.name() == self.options.echo_event {
            let Args(args) = event.data::<Args<Vec<Value>>>().map_err(|error| error.to_string())?;
            let first = args.first().and_then(Value::as_str);
            owed.answered(&self.course, None, |expected| first == Some(expected));
        }
        Ok(())
    }
}

/// Waits until the connection is lost; why it was.
async fn lost(changes: &mut Changes) -> Lost {
    while let Some(change) = changes.next().await {
        match change {
            Lifecycle::Disconnect { reason: DisconnectReason::IoServerDisconnect, .. } => {
                return Lost::Disconnected;
            }
            Lifecycle::Disconnect { reason, .. } => return reason.as_str().into(),
            _ => {}
        }
    }
    "the connection was lost".into()
}

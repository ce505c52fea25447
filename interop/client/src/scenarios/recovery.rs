//! Connection state recovery: a lost connection, and what comes after it.

use std::time::Duration;

use trunkline_client::{Reconnection, Value};

use super::connect::gone_reason;
use crate::context::Context;
use crate::failure::{Outcome, ensure, equal};
use crate::peer::Peer;
use crate::relay::Relay;
use crate::values::args;

/// The heartbeat: a poll that is not under way when its connection is cut leaves the server to find the loss by itself.
const FLAGS: [&str; 6] = ["--recovery", "60000", "--ping-interval", "500", "--ping-timeout", "2000"];

pub(super) async fn recovery(ctx: &Context) -> Outcome {
    let server = ctx.server(&FLAGS.map(String::from), 0).await?;
    let relay = Relay::start(server.port).await?;
    let watcher = ctx.connect_to("/watch", server.port).await?;
    let speaker = ctx.connect_to("/", server.port).await?;
    let quickly =
        Reconnection::default().delay(Duration::from_millis(50)).delay_max(Duration::from_millis(100));
    let peer = ctx.connect_with(ctx.builder(relay.port).reconnection(quickly), "/").await?;
    equal(peer.next_connect().await?, false)?;
    let id = peer.id()?;
    peer.call("join", args!["room"]).await?;
    for round in 1..=3 {
        say(&speaker, format!("seen {round}")).await?;
        hears(&peer, &format!("seen {round}")).await?;
        relay.cut();
        peer.disconnected().await?;
        gone_reason(&watcher, &id).await?;
        say(&speaker, format!("missed {round}")).await?;
        relay.mend();
        equal(peer.next_connect().await?, true)?;
        ensure(peer.socket.is_recovered(), || "the socket does not say that it was recovered".into())?;
        equal(peer.id()?, id.as_str())?;
        hears(&peer, &format!("missed {round}")).await?;
    }
    equal(peer.call("echo-ack", args!["after"]).await?, args!["after"])
}

/// Only the first argument is the speaker's: the offset comes behind it.
async fn hears(peer: &Peer, value: &str) -> Outcome {
    equal(peer.next("said").await?.first().and_then(Value::as_str), Some(value))
}

async fn say(speaker: &Peer, value: String) -> Outcome {
    let nobody: Vec<&str> = Vec::new();
    equal(speaker.call("say", args!["to", vec!["room"], nobody, value]).await?, args![])
}

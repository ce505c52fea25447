//! Connecting: credentials, refusals, namespaces, and who may end a connection.

use std::time::Duration;

use serde_json::json;
use trunkline_client::{ConnectError, Reconnection};

use crate::context::Context;
use crate::failure::{Failure, Outcome, ensure, equal, within};
use crate::peer::Peer;
use crate::values::{args, object};

pub(super) async fn auth(ctx: &Context) -> Outcome {
    carries(ctx, json!({ "token": "secret&=+%", "room": "a b" })).await
}

pub(super) async fn auth_unicode(ctx: &Context) -> Outcome {
    carries(ctx, json!({ "token": "tök😀" })).await
}

async fn carries(ctx: &Context, credentials: serde_json::Value) -> Outcome {
    let builder = ctx.builder(ctx.job.settings.port).auth(&credentials);
    let peer = ctx.connect_with(builder, "/").await?;
    peer.expect("auth", args![credentials, ()]).await
}

pub(super) async fn auth_of_namespace(ctx: &Context) -> Outcome {
    let builder = ctx.builder(ctx.job.settings.port).auth(json!({ "token": "secret" }));
    let peer = ctx.connect_with(builder, "/other").await?;
    peer.expect("auth", args![object! { "token" => "secret" }, ()]).await
}

pub(super) async fn transport(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    peer.reach(ctx.last_transport()).await?;
    equal(peer.call("echo-ack", args!["there"]).await?, args!["there"])?;
    equal(peer.client.transport(), Some(ctx.last_transport()))?;
    equal(peer.call("where", args![]).await?, args!["/", peer.id()?])
}

pub(super) async fn refused_with_data(ctx: &Context) -> Outcome {
    let data = json!({ "code": 42, "why": ["no", { "deep": true }] });
    refused(ctx, "/refuse", "refused", Some(data)).await
}

pub(super) async fn unknown_namespace(ctx: &Context) -> Outcome {
    refused(ctx, "/nowhere", "Invalid namespace", None).await
}

pub(super) async fn dynamic_namespace_refused(ctx: &Context) -> Outcome {
    refused(ctx, "/dyn-x", "Invalid namespace", None).await
}

async fn refused(ctx: &Context, namespace: &str, message: &str, data: Option<serde_json::Value>) -> Outcome {
    let peer = ctx.peer(namespace)?;
    let answer = within("the refusal", peer.socket.connected()).await?;
    equal(answer, Err(ConnectError::Refused { message: message.into(), data }))?;
    ensure(!peer.socket.is_connected() && !peer.socket.is_active(), || "a refused socket is there".into())
}

pub(super) async fn namespaces(ctx: &Context) -> Outcome {
    let root = ctx.connect().await?;
    let (other, dynamic) = (root.sibling("/other").await?, root.sibling("/dyn-7").await?);
    for (peer, name) in [(&root, "/"), (&other, "/other"), (&dynamic, "/dyn-7")] {
        equal(peer.call("where", args![]).await?, args![name, peer.id()?])?;
    }

    // Events stay inside their namespace, and one namespace can be left without the others.
    other.emit("echo", args!["only here"])?;
    other.expect("echo", args!["only here"]).await?;
    other.socket.disconnect();
    equal(other.disconnected().await?, "io client disconnect")?;
    equal(root.call("echo-ack", args![1]).await?, args![1])?;
    equal(dynamic.call("echo-ack", args![2]).await?, args![2])?;
    ensure(!other.socket.is_connected(), || "a socket that left is connected".into())?;
    for peer in [&root, &dynamic] {
        peer.emit("echo", args!["end"])?;
        peer.expect("echo", args!["end"]).await?;
    }
    Ok(())
}

pub(super) async fn server_ends(ctx: &Context) -> Outcome {
    let watcher = ctx.connect_to("/watch", ctx.job.settings.port).await?;
    let peer = ctx.connect().await?;
    let id = peer.id()?;
    peer.emit("kick", args![])?;
    equal(peer.disconnected().await?, "io server disconnect")?;
    equal(gone_reason(&watcher, &id).await?, "server namespace disconnect")
}

pub(super) async fn client_ends(ctx: &Context) -> Outcome {
    let watcher = ctx.connect_to("/watch", ctx.job.settings.port).await?;
    let root = ctx.connect().await?;
    let other = root.sibling("/other").await?;
    let id = other.id()?;
    equal(other.call("where", args![]).await?, args!["/other", id.as_str()])?;
    other.socket.disconnect();
    equal(gone_reason(&watcher, &id).await?, "client namespace disconnect")?;
    equal(root.call("echo-ack", args!["still here"]).await?, args!["still here"])
}

pub(super) async fn server_restarts(ctx: &Context) -> Outcome {
    let first = ctx.server(&[], 0).await?;
    let port = first.port;
    let quickly =
        Reconnection::default().delay(Duration::from_millis(50)).delay_max(Duration::from_millis(200));
    let peer = ctx.connect_with(ctx.builder(port).reconnection(quickly), "/").await?;
    equal(peer.next_connect().await?, false)?;
    let id = peer.id()?;
    equal(peer.call("echo-ack", args!["before"]).await?, args!["before"])?;

    equal(first.stop().await?, Some(0))?;
    let reason = peer.disconnected().await?;
    ensure(["transport close", "transport error"].contains(&&*reason), || {
        format!("an unexpected reason: {reason}")
    })?;
    for n in 0..3 {
        peer.emit("count", args![n])?;
    }
    let _again = ctx.server(&[], port).await?;
    equal(peer.next_connect().await?, false)?;
    equal(peer.call("echo-ack", args!["after"]).await?, args!["after"])?;
    // What was emitted meanwhile arrives once and in order.
    equal(peer.call("counted", args![]).await?, args![3, true])?;
    ensure(peer.id()? != id, || "a new server must give a new id".into())
}

/// Waits until `/watch` tells that the socket `id` is gone, and returns why.
pub(super) async fn gone_reason(watcher: &Peer, id: &str) -> Outcome<String> {
    loop {
        let told = watcher.next("gone").await?;
        let [who, _, reason, ..] = told.as_slice() else {
            return Err(Failure::new(format!("gone with other arguments: {told:?}")));
        };
        if who.as_str() == Some(id) {
            return Ok(reason.as_str().unwrap_or_default().to_owned());
        }
    }
}

//! Heartbeats: quiet connections live, and a lost peer is noticed by either side.

use std::sync::Arc;
use std::time::Duration;

use super::connect::gone_reason;
use crate::context::Context;
use crate::failure::{Outcome, ensure, equal};
use crate::job::Job;
use crate::values::args;

pub(super) async fn keeps_alive(ctx: &Context) -> Outcome {
    let peer = ctx.connect_to("/", ctx.job.settings.fast_port).await?;
    let id = peer.id()?;
    // Twice interval plus timeout in silence: without a heartbeat one of the sides would have closed.
    tokio::time::sleep(2 * Duration::from_millis(ctx.job.settings.fast_ms)).await;
    ensure(peer.socket.is_connected(), || "the silent connection was closed".into())?;
    peer.emit("echo", args!["alive"])?;
    peer.expect("echo", args!["alive"]).await?;
    equal(peer.id()?, id)
}

pub(super) async fn lost_client(ctx: &Context) -> Outcome {
    let port = ctx.job.settings.fast_port;
    let watcher = ctx.connect_to("/watch", port).await?;
    let (held, id) = ctx.hold(port).await?;
    held.pause()?;
    equal(gone_reason(&watcher, &id).await?, "ping timeout")
}

pub(super) async fn lost_server(ctx: &Context) -> Outcome {
    let server = ctx.server(&ctx.job.settings.fast_flags, 0).await?;
    let peer = ctx.connect_to("/", server.port).await?;
    server.pause()?;
    equal(peer.disconnected().await?, "ping timeout")
}

/// Connects, prints the socket's id, and stays until the process is ended.
pub(crate) async fn hold(job: Job) -> Outcome {
    let ctx = Context::new(Arc::new(job))?;
    let peer = ctx.connect().await?;
    peer.reach(ctx.last_transport()).await?;
    // Some heartbeats on the last transport first, so that the connection is lost in the middle of its life.
    tokio::time::sleep(Duration::from_millis(ctx.job.settings.fast_ms)).await;
    println!("{}", peer.id()?);
    std::future::pending().await
}

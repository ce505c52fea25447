//! Events: numbers of arguments, nesting, binary, text beyond the BMP, order over an upgrade.

use std::time::Duration;

use serde_json::json;

use crate::context::Context;
use crate::failure::{Outcome, equal};
use crate::peer::Peer;
use crate::values::{UNICODE, args, bytes, object, unique};

use trunkline_client::Value;

const MESSAGES: u64 = 10_000;
/// Longest wait for their end: a slow server may have those of other cases to handle meanwhile.
const FLOOD: Duration = Duration::from_secs(30);
/// The largest integer that JavaScript has exactly.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

pub(super) async fn arguments_0_to_5(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    let all = args![1.5, "two", json!({ "three": [3, null, true] }), json!([[], {}]), -0.25];
    for count in 0..=all.len() {
        echoes(&peer, all.iter().take(count).cloned().collect()).await?;
    }
    echoes(&peer, args![(), 0, "", false, MAX_SAFE_INTEGER]).await
}

async fn echoes(peer: &Peer, values: Vec<Value>) -> Outcome {
    peer.emit("echo", values.clone())?;
    peer.expect("echo", values).await
}

pub(super) async fn binary_nested_and_many(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    let inner = Value::Array(args![bytes(0, 1), object! { "b" => bytes(200, 7) }]);
    let values = args![
        bytes(3, 1),
        object! { "a" => inner, "text" => "t" },
        "plain",
        Value::Array(args![bytes(1, 9)])
    ];
    echoes(&peer, values.clone()).await?;
    equal(peer.call("echo-ack", values.clone()).await?, values)
}

pub(super) async fn binary_900_kb(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    let deep = object! { "deep" => vec![bytes(300_000, 2)] };
    echoes(&peer, args![bytes(300_000, 1), deep, bytes(300_000, 3)]).await?;
    echoes(&peer, args![bytes(900_000, 4)]).await
}

pub(super) async fn text_900_kb(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    echoes(&peer, args!["trunkline ".repeat(90_000)]).await
}

pub(super) async fn unicode(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    let list = object! { "list" => vec![UNICODE] };
    echoes(&peer, args![UNICODE, object! { UNICODE => Value::Array(args![UNICODE, list]) }]).await?;
    equal(peer.call("echo-ack", args![UNICODE]).await?, args![UNICODE])?;
    let room = unique("комната-😀");
    equal(peer.call("join", args![room.as_str()]).await?, args![vec![room.as_str()]])
}

pub(super) async fn unicode_with_binary(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    echoes(&peer, args![UNICODE, bytes(10, 1), object! { UNICODE => bytes(20, 5) }]).await
}

/// One part begins on polling, while the upgrade is under way, the last one after it; elsewhere both are alike.
pub(super) async fn ordered_10000_each_way(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    send(&peer, 0..2_000)?;
    send(&peer, 2_000..4_000)?;
    peer.reach(ctx.last_transport()).await?;
    send(&peer, 4_000..MESSAGES)?;

    equal(peer.call_within(FLOOD, "counted", args![]).await?, args![MESSAGES, true])?;
    for n in 0..MESSAGES {
        peer.expect("n", args![n]).await?;
    }
    equal(peer.client.transport(), Some(ctx.last_transport()))
}

fn send(peer: &Peer, numbers: std::ops::Range<u64>) -> Outcome {
    peer.emit("flood", args![numbers.start, numbers.end])?;
    for n in numbers {
        peer.emit("count", args![n])?;
    }
    Ok(())
}

//! Rooms: who hears a broadcast and, as carefully, who does not.

use trunkline_client::{Reply, Value};

use super::connect::gone_reason;
use crate::context::Context;
use crate::failure::{Outcome, equal};
use crate::peer::Peer;
use crate::values::{args, bytes, object, unique};

pub(super) async fn rooms_and_broadcast(ctx: &Context) -> Outcome {
    let names = (unique("red"), unique("blue"), unique("all"));
    let (red, blue, everybody) = (&*names.0, &*names.1, &*names.2);
    let peers = [ctx.connect().await?, ctx.connect().await?, ctx.connect().await?, ctx.connect().await?];
    let [a, b, c, d] = &peers;
    for peer in &peers {
        peer.call("join", args![everybody]).await?;
    }
    for peer in [a, b] {
        equal(peer.call("join", args![red]).await?, args![sorted([everybody, red])])?;
    }
    for peer in [b, c] {
        peer.call("join", args![blue]).await?;
    }

    let binary = object! { "binary" => vec![bytes(40, 1)] };
    let empty = unique("empty");
    say(a, "to", &[red], &[], "red without sender").await?; // b
    say(a, "within", &[red], &[], "red with sender").await?; // a b
    say(d, "to", &[red, blue], &[], "two rooms, once each").await?; // a b c
    say(d, "to", &[everybody], &[blue], "all but blue").await?; // a
    say(d, "within", &[everybody], &[red, blue], "all but both").await?; // d
    say(a, "to", &[&empty], &[], "nobody").await?;
    say(a, "to", &[blue], &[], binary.clone()).await?; // b c
    equal(b.call("leave", args![red]).await?, args![sorted([everybody, blue])])?;
    say(a, "to", &[red], &[], "b has left").await?;
    say(a, "within", &[everybody], &[], "end of a").await?;
    say(d, "within", &[everybody], &[], "end of d").await?;

    // Order holds for one sender; two senders may be heard in either order.
    let expected = [
        (args!["red with sender"], args!["two rooms, once each", "all but blue"]),
        (args!["red without sender", "red with sender", binary.clone()], args!["two rooms, once each"]),
        (args![binary], args!["two rooms, once each"]),
        (args![], args!["all but both"]),
    ];
    for (peer, expected) in peers.iter().zip(expected) {
        equal(heard_until_both_ends(peer).await?, expected)?;
    }
    Ok(())
}

pub(super) async fn per_namespace(ctx: &Context) -> Outcome {
    let room = unique("same-name");
    let root = ctx.connect().await?;
    let other = root.sibling("/other").await?;
    root.call("join", args![room.as_str()]).await?;
    other.call("join", args![room.as_str()]).await?;
    say(&root, "within", &[&room], &[], "in root").await?;
    say(&other, "within", &[&room], &[], "in other").await?;
    root.expect("said", args!["in root"]).await?;
    other.expect("said", args!["in other"]).await
}

pub(super) async fn broadcast_to_own_id(ctx: &Context) -> Outcome {
    let (a, b) = (ctx.connect().await?, ctx.connect().await?);
    say(&a, "to", &[&b.id()?], &[], "only you").await?;
    b.expect("said", args!["only you"]).await
}

pub(super) async fn end_with_the_socket(ctx: &Context) -> Outcome {
    let room = unique("left-behind");
    let watcher = ctx.connect_to("/watch", ctx.job.settings.port).await?;
    let (stays, leaves) = (ctx.connect().await?, ctx.connect().await?);
    for peer in [&stays, &leaves] {
        peer.call("join", args![room.as_str()]).await?;
    }
    let id = leaves.id()?;
    leaves.socket.disconnect();
    gone_reason(&watcher, &id).await?;
    // A room that still held the lost socket would wait for its answer until the timeout.
    stays.socket.on("question", async || Reply("here"));
    stays.emit("ask-room", args![room, "who?", 5_000])?;
    stays.expect("answers", args!["ok", vec!["here"]]).await
}

async fn say(peer: &Peer, mode: &str, rooms: &[&str], except: &[&str], value: impl Into<Value>) -> Outcome {
    let (rooms, except) = (rooms.to_vec(), except.to_vec());
    equal(peer.call("say", args![mode, rooms, except, value.into()]).await?, args![])
}

/// What a peer heard of `a`, and what of `d`, until the last word of both.
async fn heard_until_both_ends(peer: &Peer) -> Outcome<(Vec<Value>, Vec<Value>)> {
    let mut heard = (Vec::new(), Vec::new());
    let mut ends = 0;
    while ends < 2 {
        for value in peer.next("said").await? {
            match value.as_str() {
                Some("end of a" | "end of d") => ends += 1,
                Some("two rooms, once each" | "all but blue" | "all but both") => heard.1.push(value),
                _ => heard.0.push(value),
            }
        }
    }
    Ok(heard)
}

fn sorted<const N: usize>(mut rooms: [&str; N]) -> Vec<&str> {
    rooms.sort_unstable();
    rooms.to_vec()
}

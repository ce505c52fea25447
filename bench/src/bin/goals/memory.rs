//! What connections and memberships cost in memory: each figure is the median of several servers, each of them fresh.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::conn::Door;
use crate::fanout::ECHO;
use crate::goals::{Bench, ONE_SHARD, SMALL, small_rooms};
use crate::load::Load;
use crate::machine::resident;
use crate::row::{Rounds, Row};

/// Servers whose memory is measured, one after the other.
const SERVERS: usize = 3;

/// Connections that are there before memory is looked at: what the first ones bring in belongs to no connection.
const FIRST: usize = 200;

/// Idle connections, with short and with long headers.
pub(crate) fn of_idle(bench: &Bench, rows: &mut Vec<Row>) -> Result<u64, Failure> {
    let counts = [5_000, 10_000, 18_000].map(|count| bench.clients(count));
    let long = chromium();
    let (mut bare, mut with_headers) = (Sizes::default(), Sizes::default());
    let mut more: [Rounds; 3] = Default::default();
    for _ in 0..bench.rounds(SERVERS) {
        let short = idle_bytes(bench, counts, "")?;
        let full = idle_bytes(bench, counts, &long)?;
        bare.push(short);
        with_headers.push(full);
        for (rounds, (full, short)) in more.iter_mut().zip(full.into_iter().zip(short)) {
            rounds.push(full - short);
        }
    }
    let shown = |rounds: &[Rounds; 3]| {
        let texts: Vec<_> = rounds.iter().map(|rounds| format!("{rounds:.0}")).collect();
        texts.join(", ")
    };
    let scenario =
        |what: &str| format!("idle, {what}: bytes per connection at {counts:?}").replace(['[', ']'], "");
    for (what, sizes) in [("bare", bare), ("1 kB of request headers", with_headers)] {
        rows.push(Row {
            scenario: scenario(what),
            goal: "grows ≤ 2 %".to_owned(),
            came: format!("{}: grows {:.1} %", shown(&sizes.bytes), sizes.growth),
            met: sizes.growth.median() <= 2.0,
        });
    }
    rows.push(Row {
        scenario: "what these headers add".to_owned(),
        goal: format!("≤ their length, {} B", long.len()),
        came: shown(&more),
        met: more.iter().all(|bytes| bytes.median() <= long.len() as f64),
    });
    Ok(0)
}

/// Bytes per connection at three counts, and by how many percent they grow from the first to the last.
#[derive(Default)]
struct Sizes {
    bytes: [Rounds; 3],
    growth: Rounds,
}

impl Sizes {
    fn push(&mut self, bytes: [f64; 3]) {
        self.bytes.iter_mut().zip(bytes).for_each(|(rounds, bytes)| rounds.push(bytes));
        self.growth.push((bytes[2] / bytes[0] - 1.0) * 100.0);
    }
}

/// Resident bytes of the server per connection, at each count.
fn idle_bytes(bench: &Bench, counts: [usize; 3], headers: &str) -> Result<[f64; 3], Failure> {
    let server = bench.memory_server(&ONE_SHARD)?;
    let mut load = Load::new()?;
    let headers = headers.replace("{host}", &server.address.to_string());
    let door = Door::new(&server).headers(headers);
    let first = bench.clients(FIRST);
    load.enter(&door, first)?;
    talk(bench, &mut load, 0..first)?;
    let (base, mut there) = (resident(server.id())?, first);
    let mut bytes = [0.0; 3];
    for (count, bytes) in counts.into_iter().zip(&mut bytes) {
        load.enter(&door, count - there)?;
        there = count;
        talk(bench, &mut load, 0..count)?;
        *bytes = (resident(server.id())?.saturating_sub(base)) as f64 / (count - first) as f64;
    }
    if load.lost > 0 { Err("idle connections were lost".into()) } else { Ok(bytes) }
}

/// Each of these clients says something and hears it again, so that what grows on first use has grown; and a few of them once more after a
/// second: an allocator gives back what was freed when it has work again.
fn talk(bench: &Bench, load: &mut Load, clients: Range<usize>) -> Result<(), Failure> {
    for clients in [clients.clone(), clients.start..clients.end.min(clients.start + FIRST)] {
        let (mut heard, deadline) = (0, Instant::now() + Duration::from_secs(10));
        for client in clients.clone() {
            load.send(client, ECHO);
            load.turn(None, |_, packet| heard += usize::from(packet == ECHO));
        }
        while heard < clients.len() {
            load.turn(Some(Duration::from_millis(20)), |_, packet| heard += usize::from(packet == ECHO));
            if Instant::now() > deadline {
                return Err(format!("{heard} of {} clients heard what they said", clients.len()).into());
            }
        }
        load.rest(bench.time(1200));
    }
    Ok(())
}

/// What Chromium sends beside the headers of any WebSocket, with two cookies as applications have them.
fn chromium() -> String {
    let cookies =
        format!("session={}; preferences={}", "0123456789abcdef".repeat(16), "theme.dark-".repeat(34));
    format!(
        "Pragma: no-cache\r\nCache-Control: no-cache\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
         Origin: http://{{host}}\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\n\
         Cookie: {cookies}\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    )
}

/// Memberships of `clients` in `all` rooms of ten.
pub(crate) fn of_memberships(bench: &Bench, clients: usize, all: usize) -> Result<Row, Failure> {
    let memberships = all * SMALL;
    let mut bytes = Rounds::default();
    for _ in 0..bench.rounds(SERVERS) {
        let server = bench.memory_server(&ONE_SHARD)?;
        let mut load = Load::new()?;
        let members = load.enter(&Door::new(&server).rooms(), clients)?;
        let everybody = |_| vec!["all".to_owned()];
        load.join(members.clone(), everybody)?;
        // Asked for once more, when it changes nothing: an allocator gives back what was freed when it has work again.
        load.rest(bench.time(1200));
        load.join(members.clone(), everybody)?;
        let before = resident(server.id())?;
        load.join(members.clone(), |client| small_rooms(client, clients / SMALL, all))?;
        load.rest(bench.time(1200));
        load.join(members.clone(), everybody)?;
        bytes.push(resident(server.id())?.saturating_sub(before) as f64 / memberships as f64);
        if load.lost > 0 {
            return Err("connections were lost".into());
        }
    }
    Ok(Row {
        scenario: format!(
            "memory of a room membership, rooms and their names included ({memberships} memberships)"
        ),
        goal: "≤ 64 B".to_owned(),
        came: format!("{bytes:.1} B"),
        met: bytes.median() <= 64.0,
    })
}

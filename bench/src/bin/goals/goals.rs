//! The goals, each measured and judged.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use trunkline_bench::orders::orders;
use trunkline_bench::record::Encryptor;

use crate::Failure;
use crate::conn::Door;
use crate::fanout::{Cost, Echo, Fanout, Pace, Room};
use crate::load::Load;
use crate::machine::{Clock, Cpus};
use crate::memory;
use crate::row::{Rounds, Row};
use crate::server::{Pages, Server};

/// A measurement: writes its rows, and gives how many messages were wrong or missing.
type Measure = fn(&Bench, &mut Vec<Row>) -> Result<u64, Failure>;

/// All of them, by the names of the command line.
pub(crate) const GOALS: [(&str, Measure); 6] = [
    ("idle", memory::of_idle),
    ("fan-out", fan_out),
    ("rooms", rooms),
    ("deflate", deflate),
    ("tls", by_tls),
    ("shards", shards),
];

/// What all measurements need.
pub(crate) struct Bench {
    /// The program `bench-server`.
    pub(crate) program: PathBuf,
    pub(crate) cpus: Cpus,
    /// A small part of everything, to try the programs; its figures mean nothing.
    pub(crate) is_small: bool,
}

impl Bench {
    pub(crate) fn clients(&self, count: usize) -> usize {
        if self.is_small { count / 50 } else { count }
    }

    pub(crate) fn rounds(&self, count: usize) -> usize {
        if self.is_small { 1 } else { count }
    }

    pub(crate) fn time(&self, millis: u64) -> Duration {
        Duration::from_millis(if self.is_small { millis / 5 } else { millis })
    }

    /// A server on its own processor.
    fn server(&self, options: &[&str]) -> Result<Server, Failure> {
        Server::start(&self.program, options, &[self.cpus.server], &[self.cpus.load], Pages::Any)
    }

    /// One whose memory is measured.
    pub(crate) fn memory_server(&self, options: &[&str]) -> Result<Server, Failure> {
        Server::start(&self.program, options, &[self.cpus.server], &[self.cpus.load], Pages::Small)
    }

    /// A server and its load, both wherever there is room.
    fn loose_server(&self, options: &[&str]) -> Result<Server, Failure> {
        let both = [self.cpus.server, self.cpus.load];
        Server::start(&self.program, options, &both, &both, Pages::Any)
    }
}

/// The load asks for news again and again: so a server never pays for waking it.
const SPIN: Option<Duration> = None;
pub(crate) const ONE_SHARD: [&str; 2] = ["--shards", "1"];

// --- fan-out ------------------------------------------------------------------------------------------------------

fn fan_out(bench: &Bench, rows: &mut Vec<Row>) -> Result<u64, Failure> {
    let (few, many) = (bench.clients(5_000), bench.clients(15_000));
    let server = bench.server(&ONE_SHARD)?;
    let mut load = Load::new()?;
    let all = load.enter(&Door::new(&server).rooms(), many)?;
    // In the namespace `/`.
    let beside = load.enter(&Door::new(&server), 1)?;
    load.join(0..few, |_| vec!["few".to_owned(), "many".to_owned()])?;
    load.join(few..many, |_| vec!["many".to_owned()])?;
    let text = format!(",\"t\":\"{}\"", "x".repeat(38));
    let sides = [("few", 0..few), ("many", all)].map(|(name, members)| Side {
        server: &server,
        fanout: Fanout::new(vec![Room::named(name, members, &text)], 0),
        pace: Pace::Closed,
        echo: Some(Echo::new(beside.start)),
    });
    let pair = in_turn(bench, &mut load, sides, 17, 800, SPIN)?;
    rows.push(Row {
        scenario: format!("fan-out to {many} in one room, 64 B: CPU per delivery"),
        goal: format!("≤ 1.2 × that to {few} of them"),
        came: format!("{} µs, {} µs: ×{}", pair.other, pair.base, pair.ratio),
        met: pair.ratio.median() <= 1.2,
    });
    let micros = &pair.echoes[1];
    let at = |share: f64| micros.get((micros.len() as f64 * share) as usize).copied().unwrap_or(u32::MAX);
    let (p50, p99) = (f64::from(at(0.5)) / 1000.0, f64::from(at(0.99)) / 1000.0);
    rows.push(Row {
        scenario: "an echo client beside it".to_owned(),
        goal: "p99 < 15 ms".to_owned(),
        came: format!("p50 {p50:.1} ms, p99 {p99:.1} ms of {}", micros.len()),
        met: p99 < 15.0,
    });
    Ok(pair.wrong)
}

// --- two sides in turn --------------------------------------------------------------------------------------------

/// One side of a ratio.
struct Side<'a> {
    server: &'a Server,
    fanout: Fanout,
    pace: Pace,
    /// Beside it.
    echo: Option<Echo>,
}

/// Both sides' costs, in µs per delivery.
struct Pair {
    base: Rounds,
    other: Rounds,
    ratio: Rounds,
    more: Rounds,
    /// The last round's, of both sides.
    last: [Cost; 2],
    /// The times of both sides' echoes, in order.
    echoes: [Vec<u32>; 2],
    wrong: u64,
}

fn in_turn(
    bench: &Bench,
    load: &mut Load,
    mut sides: [Side<'_>; 2],
    rounds: usize,
    millis: u64,
    wait: Option<Duration>,
) -> Result<Pair, Failure> {
    let clocks: [Clock; 2] = [sides[0].server.clock(), sides[1].server.clock()];
    let mut run = |at: usize, millis: u64| {
        let Side { fanout, pace, echo, .. } = &mut sides[at];
        fanout.run(load, &clocks[at], *pace, bench.time(millis), wait, echo.as_mut())
    };
    let mut last = [run(0, millis / 2)?, run(1, millis / 2)?];
    let mut pair = Pair {
        base: Rounds::default(),
        other: Rounds::default(),
        ratio: Rounds::default(),
        more: Rounds::default(),
        last,
        echoes: [Vec::new(), Vec::new()],
        wrong: 0,
    };
    for round in 0..bench.rounds(rounds) {
        // Who comes first changes.
        for at in [round % 2, 1 - round % 2] {
            last[at] = run(at, millis)?;
        }
        let [base, other] = last.map(|cost| cost.micros_per_delivery);
        pair.base.push(base);
        pair.other.push(other);
        pair.ratio.push(other / base);
        pair.more.push(other - base);
        pair.last = last;
    }
    let wrong: u64 = sides.iter().map(|side| side.fanout.wrong + side.fanout.missing).sum();
    pair.wrong = wrong + load.lost;
    pair.echoes = sides.map(|side| side.echo.map(Echo::micros).unwrap_or_default());
    Ok(pair)
}

// --- rooms --------------------------------------------------------------------------------------------------------

/// Members of a small room.
pub(crate) const SMALL: usize = 10;

/// The small rooms of a client, of `all`: room r has the ten clients from 10 r on, around and around in `groups` of ten.
pub(crate) fn small_rooms(client: usize, groups: usize, all: usize) -> Vec<String> {
    (client / SMALL..all).step_by(groups).map(|room| format!("room-{room}")).collect()
}

fn rooms(bench: &Bench, rows: &mut Vec<Row>) -> Result<u64, Failure> {
    let clients = bench.clients(1_000);
    let (live, all) = (clients, clients * 10);
    let server = bench.server(&ONE_SHARD)?;
    let mut load = Load::new()?;
    let members = load.enter(&Door::new(&server).rooms(), clients)?;
    let publisher = load.enter(&Door::new(&server).rooms(), 1)?.start;
    load.join(members.clone(), |_| vec!["all".to_owned()])?;
    let groups = clients / SMALL;
    load.join(members.clone(), |client| small_rooms(client, groups, all))?;

    let text = format!(",\"t\":\"{}\"", "x".repeat(38));
    let of = |room: usize| {
        let first = room % groups * SMALL;
        Room::named(&format!("room-{room}"), first..first + SMALL, &text)
    };
    let one = Fanout::new(vec![Room::named("all", members, &text)], publisher);
    let many = Fanout::new((0..live).map(of).collect(), publisher);
    let second = Duration::from_secs(1);
    let sides = [
        Side {
            server: &server,
            fanout: one,
            // As many deliveries in a second.
            pace: Pace::Every(second * clients as u32 / (live * SMALL) as u32),
            echo: None,
        },
        Side { server: &server, fanout: many, pace: Pace::Every(second / live as u32), echo: None },
    ];
    let pair = in_turn(bench, &mut load, sides, 15, 1000, SPIN)?;
    rows.push(Row {
        scenario: format!(
            "{live} rooms of {SMALL}, one message each per second, {all} rooms in memory: CPU per delivery"
        ),
        goal: format!("≤ 1.5 × one room of {clients}, as many deliveries"),
        came: format!("{} µs, {} µs: ×{}", pair.other, pair.base, pair.ratio),
        met: pair.ratio.median() <= 1.5,
    });
    rows.push(memory::of_memberships(bench, clients, all)?);
    Ok(pair.wrong)
}

// --- permessage-deflate -------------------------------------------------------------------------------------------

fn deflate(bench: &Bench, rows: &mut Vec<Row>) -> Result<u64, Failure> {
    let clients = bench.clients(1_000);
    let server = bench.server(&["--shards", "1", "--deflate"])?;
    let mut load = Load::new()?;
    let json = format!(",\"orders\":{}", orders());
    let mut sides = Vec::new();
    for (name, door) in [("plain", Door::new(&server)), ("deflate", Door::new(&server).deflate())] {
        let members = load.enter(&door.rooms(), clients)?;
        load.join(members.clone(), |_| vec![name.to_owned()])?;
        let publisher = members.start;
        let fanout = Fanout::new(vec![Room::named(name, members, &json)], publisher);
        sides.push(Side { server: &server, fanout, pace: Pace::Closed, echo: None });
    }
    let sides = <[Side<'_>; 2]>::try_from(sides).map_err(|_| "not two sides")?;
    let pair = in_turn(bench, &mut load, sides, 15, 600, SPIN)?;
    let more = pair.more.median();
    rows.push(Row {
        scenario: format!("{clients} receivers with permessage-deflate, 1 KiB of JSON: CPU per delivery"),
        goal: "≤ plaintext + 1 µs".to_owned(),
        came: format!("{} µs, {} µs: {more:+.2} µs", pair.other, pair.base),
        met: more <= 1.0,
    });
    let [plain, packed] = pair.last.map(|cost| cost.bytes_per_delivery);
    let fewer = 1.0 - packed / plain;
    rows.push(Row {
        scenario: "bytes on the wire of such a delivery".to_owned(),
        goal: "60 % fewer".to_owned(),
        came: format!("{packed:.0}, {plain:.0}: {:.0} % fewer", fewer * 100.0),
        met: fewer >= 0.6,
    });
    Ok(pair.wrong)
}

// --- TLS ----------------------------------------------------------------------------------------------------------

fn by_tls(bench: &Bench, rows: &mut Vec<Row>) -> Result<u64, Failure> {
    let clients = bench.clients(1_000);
    let own = [bench.cpus.load];
    let plain = bench.server(&ONE_SHARD)?;
    let secure = Server::start_tls(&bench.program, &[bench.cpus.server], &own)?;
    let mut load = Load::new()?;
    let sides = [(&plain, 64), (&secure, 64)].map(|(server, size)| -> Result<_, Failure> {
        let all = load.enter(&Door::new(server), clients)?;
        let publisher = all.start;
        Ok(Side {
            server,
            fanout: Fanout::new(vec![Room::of_all(all, size)], publisher),
            pace: Pace::Closed,
            echo: None,
        })
    });
    let [plain_side, secure_side] = sides;
    let pair = in_turn(bench, &mut load, [plain_side?, secure_side?], 19, 600, SPIN)?;
    let record = record(bench)?;
    let more = pair.more.median();
    rows.push(Row {
        scenario: format!("WSS (rustls) fan-out to {clients}, 64 B: CPU per delivery"),
        goal: "≤ plaintext + encrypting one record alone + 1 µs".to_owned(),
        came: format!("{} µs, {} µs: {more:+.2} µs; a record alone {record:.2} µs", pair.other, pair.base),
        met: more <= record + 1.0,
    });
    Ok(pair.wrong)
}

/// Microseconds to encrypt a delivery alone, on the servers' processor: the median of rounds. `cargo bench` has it too ("encrypt a record of
/// 80 bytes"); the goal needs it of the same run.
fn record(bench: &Bench) -> Result<f64, Failure> {
    const COUNT: u32 = 20_000;
    let mut encryptor = Encryptor::new()?;
    let frame = [b'x'; 80];
    Cpus::pin(&[bench.cpus.server])?;
    let mut rounds = Rounds::default();
    for _ in 0..7 {
        let begin = Instant::now();
        for _ in 0..COUNT {
            std::hint::black_box(encryptor.encrypt(std::hint::black_box(&frame))?);
        }
        rounds.push(begin.elapsed().as_secs_f64() * 1e6 / f64::from(COUNT));
    }
    Cpus::pin(&[bench.cpus.load])?;
    Ok(rounds.median())
}

// --- shards -------------------------------------------------------------------------------------------------------

fn shards(bench: &Bench, rows: &mut Vec<Row>) -> Result<u64, Failure> {
    let clients = bench.clients(1_000);
    let mut wrong = 0;
    for is_pinned in [true, false] {
        let start =
            |options: &[&str]| if is_pinned { bench.server(options) } else { bench.loose_server(options) };
        let servers = [start(&ONE_SHARD)?, start(&["--shards", "2"])?];
        // A load that spins would take a processor from a server that may use both.
        let wait = if is_pinned { SPIN } else { Some(Duration::from_millis(5)) };
        let mut load = Load::new()?;
        let sides = [&servers[0], &servers[1]].map(|server| -> Result<_, Failure> {
            let all = load.enter(&Door::new(server), clients)?;
            let publisher = all.start;
            Ok(Side {
                server,
                fanout: Fanout::new(vec![Room::of_all(all, 64)], publisher),
                pace: Pace::Closed,
                echo: None,
            })
        });
        let [one, two] = sides;
        let pair = in_turn(bench, &mut load, [one?, two?], 21, 500, wait)?;
        wrong += pair.wrong;
        rows.push(Row {
            scenario: format!(
                "two shards instead of one, fan-out to {clients}, {}: CPU per delivery, all threads",
                if is_pinned { "pinned to one processor" } else { "unpinned" }
            ),
            goal: "≤ ×1.10".to_owned(),
            came: format!("{} µs, {} µs: ×{}", pair.other, pair.base, pair.ratio),
            met: pair.ratio.median() <= 1.10,
        });
    }
    Cpus::pin(&[bench.cpus.load])?;
    Ok(wrong)
}

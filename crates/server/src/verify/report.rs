//! What a run found, for people and for programs.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::ledger::{Fate, Ranges, Verdict};
use super::receiver::{Receiver, Room, Run, lock};
use super::storm::Cuts;
use crate::percentiles::Percentiles;

/// The report, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ok: bool,
    pub(crate) seed: u64,
    /// Publishing, in seconds.
    pub(crate) seconds: f64,
    pub(crate) clients: usize,
    pub(crate) rooms: usize,
    pub(crate) published: Publications,
    pub(crate) deliveries: Deliveries,
    pub(crate) connections: Connections,
    pub(crate) latency_ms: Latencies,
    /// Receivers that did not get all, at most 100.
    pub(crate) receivers: Vec<Detail>,
}

/// Events sent to the server.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Publications {
    pub(crate) acknowledged: u64,
    /// Without an answer: they may exist or not.
    pub(crate) unsure: u64,
    pub(crate) refused: u64,
    /// Not sent, since their publisher had no connection.
    pub(crate) skipped: u64,
}

/// Events, summed over the receivers.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Deliveries {
    /// Acknowledged ones, for each receiver of their room.
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Missing where the server said that it may be.
    pub(crate) in_gaps: u64,
    /// Of rooms that the receiver is not in.
    pub(crate) stray: u64,
    /// Numbers that were never published.
    pub(crate) invented: u64,
}

/// What happened to the receivers' connections.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Connections {
    pub(crate) cuts: Cuts,
    pub(crate) disconnects: u64,
    /// The first ones too.
    pub(crate) connects: u64,
    pub(crate) recovered: u64,
    pub(crate) connect_errors: u64,
    /// Receivers that were not back at the end.
    pub(crate) away: u64,
}

/// From publishing to the receiver's handler.
#[derive(Debug, Serialize)]
pub(crate) struct Latencies {
    /// Receivers that were connected when the event was sent.
    pub(crate) live: Percentiles,
    /// Receivers that were away.
    pub(crate) replayed: Percentiles,
}

/// One receiver; numbers as `[first, last]`.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    pub(crate) client: usize,
    pub(crate) room: String,
    pub(crate) away: bool,
    pub(crate) lost: Ranges,
    pub(crate) duplicated: Ranges,
    pub(crate) reordered: Ranges,
    pub(crate) gaps: Ranges,
}

impl Report {
    /// Judges what the receivers heard.
    pub(crate) fn new(run: &Run, rooms: &[std::sync::Arc<Room>], receivers: &[Receiver]) -> Self {
        let counts = &run.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut report = Self {
            ok: false,
            seed: 0,
            seconds: 0.0,
            clients: receivers.len(),
            rooms: rooms.len(),
            published: Publications::default(),
            deliveries: Deliveries { stray: read(&counts.stray), ..Deliveries::default() },
            connections: Connections {
                disconnects: read(&counts.disconnects),
                connects: read(&counts.connects),
                recovered: read(&counts.recovered),
                connect_errors: read(&counts.connect_errors),
                ..Connections::default()
            },
            latency_ms: {
                let times = lock(&run.times);
                let of = |times| Percentiles::of(times, MICROS_PER_MS);
                Latencies { live: of(&times.live), replayed: of(&times.replayed) }
            },
            receivers: Vec::new(),
        };
        for room in rooms {
            let published = lock(&room.published);
            report.published.acknowledged += published.count(Fate::Taken);
            report.published.unsure += published.count(Fate::Unsure);
            report.published.refused += published.count(Fate::Refused);
        }
        for (client, receiver) in receivers.iter().enumerate() {
            let room = &receiver.member.room;
            let verdict = lock(&receiver.member.heard).judge(&lock(&room.published));
            report.add(client, &room.name, !receiver.socket.is_connected(), verdict);
        }
        report
    }

    fn add(&mut self, client: usize, room: &str, away: bool, verdict: Verdict) {
        let Verdict { expected, received, lost, gaps, duplicated, reordered, invented } = verdict;
        let sum = &mut self.deliveries;
        sum.expected += expected;
        sum.received += received;
        sum.lost += lost.count();
        sum.in_gaps += gaps.count();
        sum.duplicated += duplicated.len() as u64;
        sum.reordered += reordered.len() as u64;
        sum.invented += invented;
        self.connections.away += u64::from(away);
        let (duplicated, reordered): (Ranges, Ranges) =
            (duplicated.into_iter().collect(), reordered.into_iter().collect());
        let is_whole = [&lost, &gaps, &duplicated, &reordered].iter().all(|ranges| ranges.runs().is_empty());
        if (away || !is_whole) && self.receivers.len() < DETAILS {
            let room = room.to_owned();
            self.receivers.push(Detail { client, room, away, lost, duplicated, reordered, gaps });
        }
    }

    /// Whether nothing is wrong; with `strict` nothing may be in a gap either. Where nothing was acknowledged, or a receiver
    /// did not come back, nobody knows.
    pub(crate) fn is_ok(&self, strict: bool) -> bool {
        let d = &self.deliveries;
        let is_verified = self.published.acknowledged > 0 && self.connections.away == 0;
        is_verified
            && d.lost + d.duplicated + d.reordered + d.stray + d.invented == 0
            && !(strict && d.in_gaps > 0)
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let Self { published: p, deliveries: d, connections: c, latency_ms: l, .. } = self;
        let mut text = format!(
            "published   {} acknowledged, {} unsure, {} refused, {} skipped, in {:.1} s\n\
             connections {} cuts ({} reset, {} closed, {} silent, {} half open), {} lost, {} recovered, {} new\n\
             deliveries  {} expected, {} received\n\
             missing     {} lost, {} in gaps\n\
             wrong       {} twice, {} out of order, {} in the wrong room, {} never published\n",
            p.acknowledged,
            p.unsure,
            p.refused,
            p.skipped,
            self.seconds,
            c.cuts.sum(),
            c.cuts.reset,
            c.cuts.closed,
            c.cuts.silent,
            c.cuts.half_open,
            c.disconnects,
            c.recovered,
            (c.connects - c.recovered).saturating_sub(self.clients as u64),
            d.expected,
            d.received,
            d.lost,
            d.in_gaps,
            d.duplicated,
            d.reordered,
            d.stray,
            d.invented,
        );
        for (name, times) in [("live", &l.live), ("replayed", &l.replayed)] {
            let Percentiles { count, p50, p90, p99, p999, max } = times;
            // Writing to a `String` does not fail.
            let _ = writeln!(
                text,
                "{name:<11} p50 {p50:.1} ms, p90 {p90:.1}, p99 {p99:.1}, p99.9 {p999:.1}, most {max:.1}; {count} events"
            );
        }
        if p.acknowledged == 0 {
            let _ = writeln!(text, "nothing was acknowledged, so nothing was verified");
        }
        if c.away > 0 {
            let _ = writeln!(text, "{} receivers were not back at the end", c.away);
        }
        for detail in self.receivers.iter().take(SHOWN) {
            let _ = writeln!(text, "{}", detail.line());
        }
        let more = self.receivers.len().saturating_sub(SHOWN);
        if more > 0 {
            let _ = writeln!(text, "and {more} or more receivers; --json has more of them");
        }
        let _ = writeln!(text, "{}", if self.ok { "ok" } else { "FAILED" });
        text
    }
}

impl Detail {
    fn line(&self) -> String {
        let mut line = format!("receiver {} in {}:", self.client, self.room);
        if self.away {
            line.push_str(" away;");
        }
        for (name, ranges) in [
            ("lost", &self.lost),
            ("twice", &self.duplicated),
            ("out of order", &self.reordered),
            ("gap", &self.gaps),
        ] {
            if ranges.runs().is_empty() {
                continue;
            }
            let run = |(first, last): &(u64, u64)| match first == last {
                true => first.to_string(),
                false => format!("{first}..{last}"),
            };
            let shown: Vec<_> = ranges.runs().iter().take(SHOWN_RUNS).map(run).collect();
            let more = if ranges.runs().len() > SHOWN_RUNS { ", …" } else { "" };
            let _ = write!(line, " {name} {}{more} ({});", shown.join(", "), ranges.count());
        }
        line
    }
}

/// Times are measured in µs.
const MICROS_PER_MS: f64 = 1e3;
/// Receivers told of in JSON, and in text.
const DETAILS: usize = 100;
const SHOWN: usize = 10;
/// Runs of numbers told of for each.
const SHOWN_RUNS: usize = 5;

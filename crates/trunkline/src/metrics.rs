//! Counters and gauges of the server, and their Prometheus text.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use trunkline_proto::eio::CloseReason;

use crate::log::Page;
use crate::recovery::Outcome;
use crate::transport::stream::Way;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counted per shard, so that cores do not share them.
#[derive(Debug, Default)]
pub(crate) struct ShardCounters {
    pub(crate) packets_in: Counter,
    pub(crate) packets_out: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) uring_sends: Counter,
    pub(crate) dropped_volatile: Counter,
    pub(crate) dropped_full: Counter,
    pub(crate) dropped_oldest: Counter,
    pub(crate) dropped_outdated: Counter,
}

impl ShardCounters {
    pub(crate) fn sent(&self, packets: usize, bytes: usize) {
        self.packets_out.add(packets as u64);
        self.bytes_out.add(bytes as u64);
    }

    pub(crate) fn received(&self, packets: u64) {
        self.packets_in.add(packets);
    }
}

/// Counted for the whole server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) sessions_opened: Counter,
    pub(crate) upgrades: Counter,
    pub(crate) upgrades_timed_out: Counter,
    pub(crate) violations: Counter,
    pub(crate) refused: Counter,
    pub(crate) handler_panics: Counter,
    pub(crate) handler_errors: Counter,
    pub(crate) slow_handlers: Counter,
    pub(crate) reading_stopped: Counter,
    pub(crate) ack_timeouts: Counter,
    pub(crate) log_failures: Counter,
    pub(crate) repeats: Counter,
    closed: [Counter; 8],
    streams: [Counter; Way::ALL.len()],
    recoveries: [Counter; 5],
    entries_refused: [Counter; 3],
    pub(crate) history: HistoryMetrics,
}

/// The bound at which a client is not let into a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryBound {
    /// What CONNECT sends as auth is too large.
    Auth,
    /// It is in as many as a client may be in.
    Count,
    /// The name is too long.
    Name,
}

impl EntryBound {
    const ALL: [Self; 3] = [Self::Auth, Self::Count, Self::Name];

    fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Count => "count",
            Self::Name => "name",
        }
    }
}

/// How history is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistoryKind {
    /// Answered at once.
    Poll,
    /// Waited for news.
    Wait,
    Stream,
}

impl HistoryKind {
    const ALL: [Self; 3] = [Self::Poll, Self::Wait, Self::Stream];

    fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Wait => "wait",
            Self::Stream => "stream",
        }
    }
}

/// Counted of history.
#[derive(Debug, Default)]
pub(crate) struct HistoryMetrics {
    requests: [Counter; 3],
    events: Counter,
    gaps: Counter,
    pub(crate) lagged: Counter,
}

impl HistoryMetrics {
    pub(crate) fn asked(&self, kind: HistoryKind) {
        self.requests[kind as usize].add(1);
    }

    /// A page is given.
    pub(crate) fn read(&self, page: &Page) {
        self.events.add(page.events.len() as u64);
        self.gaps.add(u64::from(page.gap));
    }
}

impl Metrics {
    /// A function of the application has panicked.
    pub(crate) fn panicked(&self, what: &str) {
        self.handler_panics.add(1);
        tracing::error!(what, "a hook panicked");
    }

    pub(crate) fn stream_opened(&self, way: Way) {
        self.streams[way as usize].add(1);
    }

    pub(crate) fn recovery(&self, outcome: Outcome) {
        self.recoveries[outcome as usize].add(1);
    }

    pub(crate) fn entry_refused(&self, bound: EntryBound) {
        self.entries_refused[bound as usize].add(1);
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        self.closed[index(reason)].add(1);
    }
}

const REASONS: [CloseReason; 8] = [
    CloseReason::TransportError,
    CloseReason::TransportClose,
    CloseReason::ForcedClose,
    CloseReason::PingTimeout,
    CloseReason::ParseError,
    CloseReason::ServerShuttingDown,
    CloseReason::SlowReader,
    CloseReason::InboundOverflow,
];

fn index(reason: CloseReason) -> usize {
    REASONS.iter().position(|r| *r == reason).unwrap_or(0)
}

/// What the server counted, at one moment. Counters only grow; gauges are named in their comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Open Engine.IO sessions (gauge).
    pub sessions: u64,
    /// Sessions whose transport is WebSocket (gauge).
    pub websocket_sessions: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions that changed from polling to WebSocket.
    pub upgrades: u64,
    /// Upgrades given up because they took longer than `upgrade_timeout`; polling went on.
    pub upgrades_timed_out: u64,
    /// Requests refused before a session was opened.
    pub refused: u64,
    /// Rules of the protocols broken by clients.
    pub violations: u64,
    /// Messages received.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Bytes sent over WebSocket and as polling bodies.
    pub bytes_out: u64,
    /// Sends made through io_uring; see [`Uring`](crate::Uring).
    pub uring_sends: u64,
    /// Volatile packets dropped because the line was blocked.
    pub dropped_volatile: u64,
    /// Broadcast packets that a full send buffer could not take.
    pub dropped_full: u64,
    /// Packets dropped for slow readers by [`SlowReaders::drop_oldest`](crate::SlowReaders::drop_oldest).
    pub dropped_oldest: u64,
    /// Packets dropped for slow readers because a newer one of the same key followed.
    pub dropped_outdated: u64,
    /// Bytes that wait to be sent, each packet counted for each of its receivers (gauge).
    pub queued: u64,
    /// Sessions for which something waits that could not be sent at once (gauge).
    pub blocked_sessions: u64,
    /// Handlers that panicked.
    pub handler_panics: u64,
    /// Handlers that returned an error or could not be given their arguments.
    pub handler_errors: u64,
    /// Polls of a handler that took longer than 50 ms.
    pub slow_handlers: u64,
    /// Times that reading from a client stopped, because `max_pending_events` or `max_pending_bytes` of its events waited.
    pub reading_stopped: u64,
    /// Acknowledgements that did not come in time, each receiver of a broadcast by itself.
    pub ack_timeouts: u64,
    /// Logs that could not be opened or written, and live in memory alone.
    pub log_failures: u64,
    /// Events that were repeats: answered again, not handled again.
    pub repeats: u64,
    /// Bytes that packets, partial reads and bodies hold (gauge).
    pub memory: u64,
    /// Sessions closed, by reason.
    pub closed: Vec<(&'static str, u64)>,
    /// WebSockets opened, by how their stream was taken out of the HTTP server: `own` and `tls` are those of [`serve`](crate::serve) and
    /// `serve_tls`, `http1` and `auto` plain TCP of other servers; `boxed` is all else, which has more layers and is never
    /// written through io_uring.
    pub streams: Vec<(&'static str, u64)>,
    /// Clients that came back, by what became of it: `restored`; `unknown` (or gone too long), `window` (not all of the events
    /// that they missed are kept), `foreign` (their offset is none of this server's), `bytes` (they missed more than a send
    /// buffer takes).
    pub recoveries: Vec<(&'static str, u64)>,
    /// Clients not let into a namespace at a bound: `auth` (what they sent with it is too large), `count` (they are in
    /// `max_namespaces` already), `name` (it is too long).
    pub entries_refused: Vec<(&'static str, u64)>,
    /// Requests for history, by how they were answered: `poll` (at once), `wait`, `stream`.
    pub history_requests: Vec<(&'static str, u64)>,
    /// Requests for history that wait or stream (gauge).
    pub history_waiting: u64,
    /// Events given by history.
    pub history_events: u64,
    /// Readers of history that were told of a gap.
    pub history_gaps: u64,
    /// Readers of history that took nothing, or not in time, and so lost their connection.
    pub history_lagged: u64,
}

impl Snapshot {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self {
            sessions_opened: metrics.sessions_opened.get(),
            upgrades: metrics.upgrades.get(),
            upgrades_timed_out: metrics.upgrades_timed_out.get(),
            refused: metrics.refused.get(),
            violations: metrics.violations.get(),
            handler_panics: metrics.handler_panics.get(),
            handler_errors: metrics.handler_errors.get(),
            slow_handlers: metrics.slow_handlers.get(),
            reading_stopped: metrics.reading_stopped.get(),
            ack_timeouts: metrics.ack_timeouts.get(),
            log_failures: metrics.log_failures.get(),
            repeats: metrics.repeats.get(),
            closed: REASONS.iter().map(|r| (r.as_str(), metrics.closed[index(*r)].get())).collect(),
            streams: Way::ALL.iter().map(|w| (w.as_str(), metrics.streams[*w as usize].get())).collect(),
            recoveries: Outcome::ALL
                .iter()
                .map(|o| (o.as_str(), metrics.recoveries[*o as usize].get()))
                .collect(),
            entries_refused: EntryBound::ALL
                .iter()
                .map(|b| (b.as_str(), metrics.entries_refused[*b as usize].get()))
                .collect(),
            history_requests: HistoryKind::ALL
                .iter()
                .map(|kind| (kind.as_str(), metrics.history.requests[*kind as usize].get()))
                .collect(),
            history_events: metrics.history.events.get(),
            history_gaps: metrics.history.gaps.get(),
            history_lagged: metrics.history.lagged.get(),
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, counters: &ShardCounters) {
        self.packets_in += counters.packets_in.get();
        self.packets_out += counters.packets_out.get();
        self.bytes_out += counters.bytes_out.get();
        self.uring_sends += counters.uring_sends.get();
        self.dropped_volatile += counters.dropped_volatile.get();
        self.dropped_full += counters.dropped_full.get();
        self.dropped_oldest += counters.dropped_oldest.get();
        self.dropped_outdated += counters.dropped_outdated.get();
    }

    /// The Prometheus text exposition format.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        let rows: [(&str, &str, &str, u64); 29] = [
            ("sessions", "gauge", "Open Engine.IO sessions.", self.sessions),
            (
                "websocket_sessions",
                "gauge",
                "Sessions whose transport is WebSocket.",
                self.websocket_sessions,
            ),
            ("memory_bytes", "gauge", "Bytes that packets, partial reads and bodies hold.", self.memory),
            ("queued_bytes", "gauge", "Bytes that wait to be sent, for each receiver.", self.queued),
            (
                "blocked_sessions",
                "gauge",
                "Sessions that could not be sent all at once.",
                self.blocked_sessions,
            ),
            ("sessions_opened_total", "counter", "Sessions opened.", self.sessions_opened),
            ("upgrades_total", "counter", "Sessions that changed from polling to WebSocket.", self.upgrades),
            (
                "upgrades_timed_out_total",
                "counter",
                "Upgrades given up because they took too long.",
                self.upgrades_timed_out,
            ),
            ("refused_total", "counter", "Requests refused before a session was opened.", self.refused),
            ("violations_total", "counter", "Protocol rules broken by clients.", self.violations),
            ("packets_in_total", "counter", "Messages received.", self.packets_in),
            ("packets_out_total", "counter", "Packets sent.", self.packets_out),
            ("bytes_out_total", "counter", "Bytes sent.", self.bytes_out),
            ("uring_sends_total", "counter", "Sends made through io_uring.", self.uring_sends),
            ("dropped_volatile_total", "counter", "Volatile packets dropped.", self.dropped_volatile),
            ("dropped_full_total", "counter", "Packets dropped at a full send buffer.", self.dropped_full),
            (
                "dropped_oldest_total",
                "counter",
                "Oldest packets dropped for slow readers.",
                self.dropped_oldest,
            ),
            (
                "dropped_outdated_total",
                "counter",
                "Packets dropped for slow readers that a newer one of their key followed.",
                self.dropped_outdated,
            ),
            ("handler_panics_total", "counter", "Handlers that panicked.", self.handler_panics),
            ("handler_errors_total", "counter", "Handlers that failed.", self.handler_errors),
            ("history_waiting", "gauge", "Requests for history that wait or stream.", self.history_waiting),
            ("history_events_total", "counter", "Events given by history.", self.history_events),
            ("history_gaps_total", "counter", "Gaps told by history.", self.history_gaps),
            ("history_lagged_total", "counter", "Readers of history ended for lagging.", self.history_lagged),
            ("slow_handlers_total", "counter", "Handler polls over 50 ms.", self.slow_handlers),
            (
                "reading_stopped_total",
                "counter",
                "Times that reading stopped because too much waited for handlers.",
                self.reading_stopped,
            ),
            (
                "ack_timeouts_total",
                "counter",
                "Acknowledgements that did not come in time.",
                self.ack_timeouts,
            ),
            ("log_failures_total", "counter", "Logs that could not be opened or written.", self.log_failures),
            ("repeats_total", "counter", "Repeated events that were answered again only.", self.repeats),
        ];
        for (name, kind, help, value) in rows {
            let _ = writeln!(
                out,
                "# HELP trunkline_{name} {help}\n# TYPE trunkline_{name} {kind}\ntrunkline_{name} {value}"
            );
        }
        let _ = writeln!(
            out,
            "# HELP trunkline_closed_total Sessions closed, by reason.\n# TYPE trunkline_closed_total counter"
        );
        for (reason, count) in &self.closed {
            let _ = writeln!(out, "trunkline_closed_total{{reason=\"{reason}\"}} {count}");
        }
        let _ = writeln!(
            out,
            "# HELP trunkline_streams_total WebSockets opened, by way.\n# TYPE trunkline_streams_total counter"
        );
        for (way, count) in &self.streams {
            let _ = writeln!(out, "trunkline_streams_total{{way=\"{way}\"}} {count}");
        }
        let _ = writeln!(
            out,
            "# HELP trunkline_recoveries_total Clients that came back, by outcome.\n# TYPE trunkline_recoveries_total counter"
        );
        for (outcome, count) in &self.recoveries {
            let _ = writeln!(out, "trunkline_recoveries_total{{outcome=\"{outcome}\"}} {count}");
        }
        let _ = writeln!(
            out,
            "# HELP trunkline_entries_refused_total Clients not let into a namespace, by bound.\n# TYPE trunkline_entries_refused_total counter"
        );
        for (bound, count) in &self.entries_refused {
            let _ = writeln!(out, "trunkline_entries_refused_total{{bound=\"{bound}\"}} {count}");
        }
        let _ = writeln!(
            out,
            "# HELP trunkline_history_requests_total Requests for history, by kind.\n# TYPE trunkline_history_requests_total counter"
        );
        for (kind, count) in &self.history_requests {
            let _ = writeln!(out, "trunkline_history_requests_total{{kind=\"{kind}\"}} {count}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_describes_each_metric_once_and_gives_its_values() {
        let metrics = Metrics::default();
        metrics.upgrades_timed_out.add(2);
        metrics.reading_stopped.add(3);
        metrics.ack_timeouts.add(4);
        metrics.entry_refused(EntryBound::Count);
        let text = Snapshot::of(&metrics).prometheus();
        for line in [
            "trunkline_upgrades_timed_out_total 2",
            "trunkline_reading_stopped_total 3",
            "trunkline_ack_timeouts_total 4",
            "trunkline_entries_refused_total{bound=\"auth\"} 0",
            "trunkline_entries_refused_total{bound=\"count\"} 1",
            "trunkline_entries_refused_total{bound=\"name\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
        }
        let mut described = std::collections::HashSet::new();
        for line in text.lines() {
            let words: Vec<_> = line.split([' ', '{']).collect();
            match words[..] {
                ["#", "TYPE", name, kind] => {
                    assert!(described.insert(name) && ["counter", "gauge"].contains(&kind), "{line}");
                }
                ["#", "HELP", ..] => {}
                _ => assert!(described.contains(words[0]), "{line}"),
            }
        }
    }
}

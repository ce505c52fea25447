//! What a load found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::options::Options;
use super::process::{Cost, cost};
use super::tally::{Course, Tally};
use crate::percentiles::Percentiles;

/// One look at the clock and at both processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    at: Instant,
    server: Option<Cost>,
    own: Option<Cost>,
}

impl Sample {
    pub(crate) fn now(pid: Option<u32>) -> Self {
        Self { at: Instant::now(), server: pid.and_then(cost), own: cost(std::process::id()) }
    }
}

/// The report, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) mode: &'static str,
    pub(crate) connections: usize,
    /// Opened; in the mode `connect` none is counted here.
    pub(crate) opened: u64,
    /// Connections that could not be opened, or were lost.
    pub(crate) failed: u64,
    /// Answers that were not what was expected.
    pub(crate) bad: u64,
    pub(crate) seconds: f64,
    /// By kind: `echo`, `ack`, `fanout` (deliveries), `polling`, `connect`.
    pub(crate) messages: BTreeMap<&'static str, Messages>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Process>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generator: Option<Process>,
}

/// Messages of one kind; times from sending to the answer or delivery.
#[derive(Debug, Serialize)]
pub(crate) struct Messages {
    pub(crate) count: u64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

/// What a process cost while it was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Process {
    /// Of one core.
    pub(crate) cpu_percent: f64,
    /// CPU time for each message of any kind, in µs; `null` without messages.
    pub(crate) cpu_us_per_message: Option<f64>,
    pub(crate) memory_bytes: u64,
    /// More than before the first connection was opened, for each connection; only of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_per_connection: Option<u64>,
}

impl Report {
    /// Sums up what was counted between the two samples. `before` is the server before the first connection.
    pub(crate) fn new(
        options: &Options,
        course: &Course,
        tallies: &[Arc<Tally>],
        (first, last): (Sample, Sample),
        before: Option<Cost>,
    ) -> Self {
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        let sums = Tally::sum(tallies.iter().map(|tally| &**tally));
        let count: u64 = sums.values().map(Histogram::len).sum();
        let opened = course.open.load(Ordering::Relaxed);
        let process = |first: Option<Cost>, last: Option<Cost>| {
            let (first, last) = (first?, last?);
            let cpu = last.cpu - first.cpu;
            Some(Process {
                cpu_percent: rounded(100.0 * cpu / seconds.max(f64::MIN_POSITIVE)),
                cpu_us_per_message: (count > 0).then(|| rounded(cpu * 1e6 / count as f64)),
                memory_bytes: last.memory,
                memory_per_connection: None,
            })
        };
        let mut server = process(first.server, last.server);
        if let (Some(server), Some(before)) = (&mut server, before) {
            server.memory_per_connection =
                server.memory_bytes.saturating_sub(before.memory).checked_div(opened);
        }
        Self {
            mode: options.mode.name(),
            connections: options.connections,
            opened,
            failed: course.failed.load(Ordering::Relaxed),
            bad: course.bad.load(Ordering::Relaxed),
            seconds,
            messages: sums.iter().map(|(name, times)| (*name, Messages::of(times, seconds))).collect(),
            server,
            generator: process(first.own, last.own),
        }
    }

    /// Whether all connections lasted and all answers were right.
    pub(crate) fn is_ok(&self) -> bool {
        self.failed + self.bad == 0
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}: {} connections, {} failed, {} wrong answers, {:.1} s\n",
            self.mode, self.connections, self.failed, self.bad, self.seconds
        );
        for (kind, messages) in &self.messages {
            let Messages { count, per_second, p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = messages;
            // Writing to a `String` does not fail, here and below.
            let _ = writeln!(text, "{kind:<10} {count} messages, {per_second:.0} per second");
            let _ = writeln!(
                text,
                "           p50 {p50_ms:.3} ms, p90 {p90_ms:.3}, p99 {p99_ms:.3}, p99.9 {p999_ms:.3}, most {max_ms:.3}"
            );
        }
        for (name, process) in [("server", &self.server), ("generator", &self.generator)] {
            let Some(process) = process else { continue };
            let _ = write!(text, "{name:<10} {:.0} % of a core", process.cpu_percent);
            if let Some(micros) = process.cpu_us_per_message {
                let _ = write!(text, ", {micros:.2} µs per message");
            }
            let _ = write!(text, ", {:.1} MiB", process.memory_bytes as f64 / (1 << 20) as f64);
            if let Some(bytes) = process.memory_per_connection {
                let _ = write!(text, ", {bytes} bytes per connection");
            }
            text.push('\n');
        }
        text
    }
}

impl Messages {
    /// Of times in ns.
    fn of(times: &Histogram<u64>, seconds: f64) -> Self {
        let Percentiles { count, p50, p90, p99, p999, max } = Percentiles::of(times, 1e6);
        let per_second = rounded(count as f64 / seconds.max(f64::MIN_POSITIVE));
        Self { count, per_second, p50_ms: p50, p90_ms: p90, p99_ms: p99, p999_ms: p999, max_ms: max }
    }
}

/// To three places: more is noise.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

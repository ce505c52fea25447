//! What a load found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::course::Course;
use super::expected::kinds;
use super::options::Options;
use super::process::{Cost, cost};
use super::tally::{Counts, Kind, Tally};
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
    /// Connections that could not be opened, were lost, or were given up as an answer did not come in time.
    pub(crate) failed: u64,
    /// Of these: the server made them leave the namespace.
    pub(crate) disconnected: u64,
    /// Answers that were not what was expected.
    pub(crate) bad: u64,
    pub(crate) seconds: f64,
    /// By kind, each that the mode has: `ack`, `connect`, `echo`, `fanout` (deliveries), `polling`, `publish`.
    pub(crate) messages: BTreeMap<&'static str, Messages>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Process>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generator: Option<Process>,
}

/// Messages of one kind; times from sending to the answer or delivery.
#[derive(Debug, Serialize)]
pub(crate) struct Messages {
    /// Answered while it was measured; the others are of these.
    pub(crate) count: u64,
    /// Never answered, whenever they were sent.
    pub(crate) unanswered: u64,
    pub(crate) per_second: f64,
    #[serde(flatten)]
    pub(crate) times: Times,
}

/// In ms; `null` if nothing was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Times {
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p90_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) p999_ms: Option<f64>,
    pub(crate) max_ms: Option<f64>,
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
    /// Sums up what was counted between the two samples. `missed` deliveries are given up now; `before` is the server before the
    /// first connection.
    pub(crate) fn new(
        options: &Options,
        course: &Course,
        tallies: &[Arc<Tally>],
        missed: u64,
        (first, last): (Sample, Sample),
        before: Option<Cost>,
    ) -> Self {
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        let mut sums = Tally::sum(tallies.iter().map(|tally| &**tally));
        for kind in kinds(options) {
            sums.entry(kind).or_default();
        }
        if missed > 0 {
            sums.entry(Kind::Fanout).or_default().unanswered += missed;
        }
        let count: u64 = sums.values().map(|counts| counts.times.len()).sum();
        let opened = course.open();
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
            failed: course.failed(),
            disconnected: course.disconnected(),
            bad: course.bad(),
            seconds,
            messages: sums
                .iter()
                .map(|(kind, counts)| (kind.name(), Messages::of(counts, seconds)))
                .collect(),
            server,
            generator: process(first.own, last.own),
        }
    }

    /// Whether all connections lasted, and all answers came and were right.
    pub(crate) fn is_ok(&self) -> bool {
        self.failed + self.bad == 0 && !self.messages.values().any(Messages::is_wanting)
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}: {} connections, {} failed, {} wrong answers, {:.1} s\n",
            self.mode, self.connections, self.failed, self.bad, self.seconds
        );
        for (kind, messages) in &self.messages {
            let Messages { count, unanswered, per_second, times } = messages;
            // Writing to a `String` does not fail, here and below.
            let _ = write!(text, "{kind:<10} {count} messages, {per_second:.0} per second");
            if *unanswered > 0 {
                let _ = write!(text, ", {unanswered} unanswered");
            }
            text.push('\n');
            if let Some(times) = times.text() {
                let _ = writeln!(text, "           {times}");
            }
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
    fn of(counts: &Counts, seconds: f64) -> Self {
        // The histogram is in ns.
        let Percentiles { count, p50, p90, p99, p999, max } = Percentiles::of(&counts.times, 1e6);
        let known = |ms| (count > 0).then_some(ms);
        Self {
            count,
            unanswered: counts.unanswered,
            per_second: rounded(count as f64 / seconds.max(f64::MIN_POSITIVE)),
            times: Times {
                p50_ms: known(p50),
                p90_ms: known(p90),
                p99_ms: known(p99),
                p999_ms: known(p999),
                max_ms: known(max),
            },
        }
    }

    /// Whether answers did not come, or there was nothing to be measured.
    pub(crate) fn is_wanting(&self) -> bool {
        self.unanswered > 0 || self.count == 0
    }
}

impl Times {
    fn text(&self) -> Option<String> {
        Some(format!(
            "p50 {:.3} ms, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, most {:.3}",
            self.p50_ms?, self.p90_ms?, self.p99_ms?, self.p999_ms?, self.max_ms?
        ))
    }
}

/// To three places: more is noise.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::course::Phase;

    fn report(line: &str, tally: Tally, course: &Course) -> Report {
        let words = line.split_whitespace().map(std::ffi::OsString::from);
        let options = Options::parse(words).expect("known").expect("no help");
        let at = Instant::now();
        let cost = |cpu, memory| Some(Cost { cpu, memory });
        let first = Sample { at, server: cost(1.0, 5_000), own: None };
        let last = Sample { at: at + Duration::from_secs(2), server: cost(1.5, 9_000), own: None };
        Report::new(&options, course, &[Arc::new(tally)], 3, (first, last), cost(0.2, 1_000))
    }

    #[test]
    fn costs_are_those_of_the_measured_time() {
        let (tally, course) = (Tally::default(), Course::new(4, 1));
        (0..4).for_each(|_| course.opened(true));
        course.set(Phase::Measure);
        for micros in [1_000, 2_000, 3_000, 4_000] {
            tally.add(&course, Kind::Fanout, Duration::from_micros(micros));
        }
        let report = report("h --mode fanout --connections 4", tally, &course);
        let fanout = report.messages.get("fanout").expect("it is measured");
        assert_eq!((fanout.count, fanout.per_second, fanout.unanswered), (4, 2.0, 3));
        assert!(!report.is_ok(), "three did not come");
        let server = report.server.as_ref().expect("it has a process");
        // Half a second of CPU in two, for four messages; since before the first connection it has 8,000 bytes more.
        assert_eq!((server.cpu_percent, server.cpu_us_per_message), (25.0, Some(125_000.0)));
        assert_eq!((server.memory_bytes, server.memory_per_connection), (9_000, Some(2_000)));
        let text = report.text();
        assert_eq!(text.lines().next(), Some("fanout: 4 connections, 0 failed, 0 wrong answers, 2.0 s"));
        assert!(text.contains("\nfanout     4 messages, 2 per second, 3 unanswered\n"), "{text}");
        assert!(text.contains("\n           p50 2.0") && text.contains(", most 4.0"), "{text}");
        let server =
            "\nserver     25 % of a core, 125000.00 µs per message, 0.0 MiB, 2000 bytes per connection\n";
        assert!(text.ends_with(server), "{text}");
    }

    #[test]
    fn without_messages_there_are_no_times() {
        let report = report("h --mode ack", Tally::default(), &Course::new(4, 1));
        assert!(!report.is_ok() && !report.text().contains("p50"), "{}", report.text());
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["messages"]["ack"]["p50_ms"], serde_json::Value::Null);
        assert_eq!(json["server"]["cpu_us_per_message"], serde_json::Value::Null);
        assert_eq!(json["server"].get("memory_per_connection"), None, "there was no connection");
    }
}

//! Memory of the server with its sockets, and how late events are.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds, the same in both processes.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How late events were.
#[derive(Debug)]
pub(crate) struct Lateness {
    pub(crate) events: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Lateness {
    /// Of times in microseconds.
    pub(crate) fn of(mut times: Vec<u32>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len() as f64 * share) as usize;
            let micros = times.get(index.min(times.len().saturating_sub(1))).copied().unwrap_or(u32::MAX);
            Duration::from_micros(u64::from(micros))
        };
        Self { events: times.len(), p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, p50, p99, max } = self;
        write!(f, "{events} events, p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}")
    }
}

/// Looks at memory again and again.
pub(crate) struct Watch {
    server: u32,
    peak: usize,
    peak_sockets: usize,
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// The unit of `/proc/net/sockstat`.
const PAGE: usize = 4096;

impl Watch {
    pub(crate) fn new(server: u32) -> Self {
        Self { server, peak: 0, peak_sockets: 0 }
    }

    /// Watches for a time.
    pub(crate) async fn during(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(PAUSE.min(end - tokio::time::Instant::now())).await;
            self.sample();
        }
    }

    pub(crate) fn sample(&mut self) {
        let sockets = sockets();
        self.peak = self.peak.max(resident(self.server) + sockets);
        self.peak_sockets = self.peak_sockets.max(sockets);
    }

    /// The most that resident size and socket memory were together.
    pub(crate) fn peak_mib(&self) -> usize {
        self.peak >> 20
    }

    pub(crate) fn peak_sockets_mib(&self) -> usize {
        self.peak_sockets >> 20
    }
}

/// Bytes of a process in memory.
fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    field(&status, "VmRSS:") * 1024
}

/// Bytes that the kernel holds for all TCP sockets of the machine, of both ends of each connection.
fn sockets() -> usize {
    let stat = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = stat.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    field(tcp, "mem") * PAGE
}

fn field(text: &str, name: &str) -> usize {
    let mut words = text.split_whitespace().skip_while(|word| *word != name);
    words.nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
}

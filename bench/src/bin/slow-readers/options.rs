//! What is measured: two forms by default, each figure by itself on request.

use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: slow-readers [--long] [--clients N] [--rate BYTES_PER_SECOND] [--policy disconnect|drop-oldest|latest-by-key]
                    [--base SECONDS] [--stall SECONDS] [--cap MIB]
  default: 2,000 clients, 20 MB/s in all, 10 s of base, 20 s with 30 % stalled, drop-oldest, 512 MiB
  --long:  10,000 clients, 60 s of base, 240 s";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) is_server: bool,
    pub(crate) clients: usize,
    /// Bytes of events in a second, over all clients.
    pub(crate) rate: usize,
    pub(crate) policy: Policy,
    pub(crate) base: Duration,
    pub(crate) stall: Duration,
    pub(crate) cap_mib: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Policy {
    Disconnect,
    DropOldest,
    LatestByKey,
}

/// Bytes of one event's text, about.
pub(crate) const EVENT: usize = 1000;

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self, String> {
        let is_long = args.iter().any(|arg| arg == "--long");
        let (clients, base, stall) = if is_long { (10_000, 60, 240) } else { (2_000, 10, 20) };
        let mut options = Self {
            is_server: false,
            clients,
            rate: 20_000_000,
            policy: Policy::DropOldest,
            base: Duration::from_secs(base),
            stall: Duration::from_secs(stall),
            cap_mib: 512,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            let number = |text: &String| text.parse::<usize>().map_err(|_| format!("{text}: no number"));
            match arg.as_str() {
                "--long" => {}
                "--server" => options.is_server = true,
                "--clients" => options.clients = number(value()?)?.max(1),
                "--rate" => options.rate = number(value()?)?.max(1),
                "--base" => options.base = Duration::from_secs(number(value()?)? as u64),
                "--stall" => options.stall = Duration::from_secs(number(value()?)? as u64),
                "--cap" => options.cap_mib = number(value()?)?,
                "--policy" => {
                    options.policy = match value()?.as_str() {
                        "disconnect" => Policy::Disconnect,
                        "drop-oldest" => Policy::DropOldest,
                        "latest-by-key" => Policy::LatestByKey,
                        other => return Err(format!("{other}: no policy")),
                    }
                }
                other => return Err(format!("{other}: unknown")),
            }
        }
        Ok(options)
    }

    /// Events in a second, at least one.
    pub(crate) fn frequency(&self) -> usize {
        (self.rate / EVENT / self.clients).max(1)
    }

    /// How many clients stop reading.
    pub(crate) fn stalled(&self) -> usize {
        self.clients * 3 / 10
    }
}

//! The flags of the contract.

use std::time::Duration;

pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    pub(crate) shards: usize,
    pub(crate) tls: Option<(String, String)>,
    pub(crate) msgpack: bool,
    pub(crate) origins: Vec<String>,
    pub(crate) recovery: Option<Duration>,
    pub(crate) max_payload: usize,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            port: 0,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            shards: 1,
            tls: None,
            msgpack: false,
            origins: Vec::new(),
            recovery: None,
            max_payload: 1_000_000,
        };
        let (mut cert, mut key) = (None, None);
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{flag} {value}: not a number"));
            let size = || value.parse::<usize>().map_err(|_| format!("{flag} {value}: not a number"));
            match flag.as_str() {
                "--port" => {
                    options.port = value.parse().map_err(|_| format!("--port {value}: not a port"))?
                }
                "--ping-interval" => options.ping_interval = Duration::from_millis(number()?),
                "--ping-timeout" => options.ping_timeout = Duration::from_millis(number()?),
                "--recovery" => options.recovery = Some(Duration::from_millis(number()?)),
                "--shards" => options.shards = size()?,
                "--max-payload" => options.max_payload = size()?,
                "--tls-cert" => cert = Some(value),
                "--tls-key" => key = Some(value),
                "--parser" if value == "msgpack" => options.msgpack = true,
                "--cors-origin" => options.origins.push(value),
                _ => return Err(format!("unknown: {flag} {value}")),
            }
        }
        options.tls = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err("--tls-cert and --tls-key go together".into()),
        };
        Ok(options)
    }
}

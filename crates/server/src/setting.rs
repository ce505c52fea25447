//! The types of settings: each checks itself while it is read, so that an error has the place in the file.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration with its unit: `"500ms"`, `"25s"`, `"2m"`, `"1h"`; more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at_checked(digits)?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let milliseconds = number.parse::<u64>().ok()?.checked_mul(factor)?;
        // A year: no timer of the system is longer.
        (1..=31_536_000_000).contains(&milliseconds).then(|| Self(Duration::from_millis(milliseconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a duration such as \"25s\" or \"500ms\"", Self::parse)
    }
}

/// Where the internal listener is, or `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Internal {
    Off,
    At(SocketAddr),
}

impl Serialize for Internal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::At(address) => serializer.collect_str(address),
        }
    }
}

impl<'de> Deserialize<'de> for Internal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "an address such as \"127.0.0.1:9300\", or \"off\"", |text| match text {
            "off" => Some(Self::Off),
            _ => text.parse().ok().map(Self::At),
        })
    }
}

/// The name of a namespace, or a pattern of names: `/chat`, `/orders/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NamespaceName(pub(crate) String);

impl NamespaceName {
    pub(crate) fn is_pattern(&self) -> bool {
        self.0.contains('{')
    }

    /// What `Io::of_pattern` takes without a panic, and what a packet can carry.
    fn parse(text: &str) -> Option<Self> {
        if !text.starts_with('/') || text.contains([',', '?']) {
            return None;
        }
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}')?;
            if literal.is_empty() || literal.contains('}') || name.is_empty() || name.contains('{') {
                return None;
            }
            rest = tail;
        }
        (!rest.contains('}')).then(|| Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for NamespaceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a namespace such as \"/chat\" or \"/orders/{id}\"", Self::parse)
    }
}

/// The origin of a page, such as `https://example.com`, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Origin(pub(crate) String);

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "an origin such as \"https://example.com\", or \"*\"", |text| {
            let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            let whole = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ']));
            (whole || text == "*").then(|| Self(text.to_owned()))
        })
    }
}

/// The path below which the server answers: starts with a slash, does not end in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct UrlPath(pub(crate) String);

impl<'de> Deserialize<'de> for UrlPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a path such as \"/socket.io\"", |text| {
            let text = text.trim_end_matches('/');
            let fits = text.starts_with('/') && !text.contains(['?', '#', '"', ' ']);
            fits.then(|| Self(text.to_owned()))
        })
    }
}

/// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or directives as of `RUST_LOG`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LogFilter(pub(crate) String);

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(
            deserializer,
            "a level such as \"info\" or directives such as \"warn,trunkline=debug\"",
            |text| {
                let known = |level: &str| {
                    ["off", "error", "warn", "info", "debug", "trace"]
                        .contains(&level.to_ascii_lowercase().as_str())
                };
                // A word alone would pass as the name of a module: most likely it is a misspelt level.
                let fits = text.split(',').all(|d| d.contains('=') || known(d.trim()));
                let fits = fits && tracing_subscriber::EnvFilter::try_new(text).is_ok();
                fits.then(|| Self(text.to_owned()))
            },
        )
    }
}

/// A number that is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Positive(pub(crate) usize);

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match usize::deserialize(deserializer)? {
            0 => Err(D::Error::custom("must be at least 1")),
            number => Ok(Self(number)),
        }
    }
}

/// How arguments are written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Parser {
    Json,
    Msgpack,
}

/// How safe an event is in its file before anybody gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    None,
    Batched,
    Synced,
}

/// Whether broadcasts are sent through io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Uring {
    Auto,
    On,
    Off,
}

/// A way in which packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Polling,
    WebSocket,
}

/// A text in which `*` stands for any characters, also none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Glob(pub(crate) String);

impl Glob {
    /// In time of at most the product of both lengths.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last star was, and up to where it has taken the text.
        let mut star = None;
        while t < text.len() {
            if pattern.get(p) == Some(&b'*') {
                star = Some((p + 1, t));
                p += 1;
            } else if pattern.get(p) == text.get(t) {
                p += 1;
                t += 1;
            } else if let Some((after, taken)) = star {
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            } else {
                return false;
            }
        }
        pattern.get(p..).unwrap_or_default().iter().all(|c| *c == b'*')
    }
}

/// What clients may do in some rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allow {
    /// The namespaces it is about; `*` stands for any characters. Default `*`.
    #[serde(default = "Allow::any")]
    pub(crate) namespace: Glob,
    /// The rooms it is about. Default `*`.
    #[serde(default = "Allow::any")]
    pub(crate) room: Glob,
    /// Whether clients may join them. Default false.
    #[serde(default)]
    pub(crate) join: bool,
    /// Whether clients that are in may publish to them. Default false.
    #[serde(default)]
    pub(crate) publish: bool,
    /// Whether their history may be read, by everybody who may connect. Default false.
    #[serde(default)]
    pub(crate) read: bool,
}

impl Allow {
    fn any() -> Glob {
        Glob("*".into())
    }

    /// Everything in every room of `/`, but rooms whose name starts with `$`.
    pub(crate) fn defaults() -> Vec<Self> {
        let rule = |room: &str, allowed| Self {
            namespace: Glob("/".into()),
            room: Glob(room.into()),
            join: allowed,
            publish: allowed,
            read: allowed,
        };
        vec![rule("$*", false), rule("*", true)]
    }
}

/// What slow readers may miss of what is published to some rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlowRule {
    /// The namespaces it is about; `*` stands for any characters. Default `*`.
    #[serde(default = "Allow::any")]
    pub(crate) namespace: Glob,
    /// The rooms it is about. Default `*`.
    #[serde(default = "Allow::any")]
    pub(crate) room: Glob,
    pub(crate) policy: SlowPolicy,
    /// For `latest-by-key`: the member of an event's first argument that is the key. Without it each event's name is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// What becomes of a receiver that is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SlowPolicy {
    Disconnect,
    DropOldest,
    LatestByKey,
}

fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom(format_args!("\"{text}\" is not {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let check = |glob: &str, text: &str, expected| {
            assert_eq!(Glob(glob.into()).matches(text), expected, "{glob} on {text}");
        };
        check("*", "", true);
        check("lobby", "lobby", true);
        check("lobby", "lobby2", false);
        check("team-*", "team-", true);
        check("team-*", "team-a-b", true);
        check("*-private", "a-private-private", true);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b*", "xxbxxaxx", false);
        check("", "", true);
        check("", "x", false);
        check("é*", "école", true);
        check("$*", "$system", true);
    }

    #[test]
    fn spans() {
        let check = |text: &str, milliseconds: Option<u64>| {
            assert_eq!(Span::parse(text).map(|s| s.0), milliseconds.map(Duration::from_millis), "{text}");
        };
        check("25s", Some(25_000));
        check("500ms", Some(500));
        check("2m", Some(120_000));
        check("1h", Some(3_600_000));
        check("25", None);
        check("s", None);
        check("0s", None);
        check("-1s", None);
        check("99999999999999999999s", None);
        check("9999999h", None);
        check("1.5s", None);
    }

    #[test]
    fn namespaces() {
        for good in ["/", "/chat", "/orders/{id}", "/{a}/{b}"] {
            assert!(NamespaceName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "chat", "/a,b", "/{", "/{}", "/{a}{b}", "/a}", "/{a{b}}", "/x?y"] {
            assert!(NamespaceName::parse(bad).is_none(), "{bad}");
        }
    }
}

//! The configuration: one typed struct. A TOML file, then the environment, then flags.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::apps::chat;
use crate::files;
use crate::setting::{
    Allow, Durability, Internal, LogFilter, NamespaceName, Origin, Parser, Positive, SlowRule, Span,
    Transport, Uring, UrlPath,
};

/// Declares the settings once: the struct, its defaults, its documentation for `trunkline config`, and
/// setting by name.
macro_rules! settings {
    ($($section:literal { $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr;)+ })+) => {
        /// All settings.
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Config {
            $($($(#[doc = $doc])+ pub(crate) $name: $type,)+)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($($name: $default,)+)+ }
            }
        }

        /// The settings in order, by section.
        pub(crate) const SECTIONS: &[(&str, &[Field])] = &[
            $(($section, &[$(Field { name: stringify!($name), doc: &[$($doc),+] }),+])),+
        ];

        impl Config {
            fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
                match name {
                    $($(stringify!($name) => self.$name = value(text)?,)+)+
                    _ => return Err("unknown setting".to_owned()),
                }
                Ok(())
            }

            /// A setting as TOML; `None` where it is not set.
            pub(crate) fn get(&self, name: &str) -> Option<toml::Value> {
                match name {
                    $($(stringify!($name) => toml::Value::try_from(&self.$name).ok(),)+)+
                    _ => None,
                }
            }
        }
    };
}

settings! {
    "Where it listens" {
        /// The address to listen on: "0.0.0.0" for all of IPv4, "::" for all. The default is for a
        /// developer's machine.
        host: String = "127.0.0.1".into();
        /// The port; 0 takes any free one.
        port: u16 = 3000;
        /// Address of the internal listener for /metrics (Prometheus) and /healthz, or "off". Keep it from
        /// the public.
        internal: Internal = Internal::At(([127, 0, 0, 1], 9300).into());
        /// The certificate chain (PEM file). With it and tls_key the port speaks TLS only. SIGHUP reads both
        /// again.
        tls_cert: Option<PathBuf> = None;
        /// The private key of tls_cert (PEM file).
        tls_key: Option<PathBuf> = None;
        /// Where Socket.IO is served; clients use "/socket.io" unless told otherwise.
        path: UrlPath = UrlPath("/socket.io".into());
        /// Whether / shows the gallery, with the server's numbers at /stats.html and /stats (counts only, no names).
        start_page: bool = true;
        /// Whether the gallery's apps are there: the chat at /chat.html, which uses the namespace "/chat". Off where
        /// start_page or serve_client is, with parser = "msgpack", and where namespaces has "/chat" already.
        apps: bool = true;
        /// Whether the JavaScript client for browsers is served: <path>/socket.io.js, socket.io.esm.min.js.
        serve_client: bool = true;
    }
    "How it runs" {
        /// Threads, each with a share of the sessions: 1 to 64; 0 is one per core.
        shards: u8 = 0;
        /// Whether broadcasts are sent through io_uring, which costs less: "auto" where the system has it and allows it, "on"
        /// (no start without it) or "off". Linux only.
        uring: Uring = Uring::Auto;
        /// How long a stopping server waits for its sessions to end in order.
        drain_timeout: Span = Span::seconds(10);
        /// How many sessions a stopping server ends in a second, so that not all clients come to the other
        /// nodes at once; drain_timeout must allow for it. 0 ends all at once.
        drain_pace: u32 = 0;
        /// What is logged to standard error: a level, or directives as of RUST_LOG, which counts before this.
        log: LogFilter = LogFilter("info".into());
    }
    "Who may connect" {
        /// Origins whose pages may connect, by polling and by WebSocket, besides the server's own:
        /// "https://example.com". "*" is all.
        cors_origins: Vec<Origin> = Vec::new();
        /// Whether those pages may send cookies and other credentials.
        cors_credentials: bool = false;
        /// Whether clients of Socket.IO 1.x and 2.x (Engine.IO 3) are served.
        allow_eio3: bool = true;
        /// Transports offered: "polling", "websocket".
        transports: Vec<Transport> = vec![Transport::Polling, Transport::WebSocket];
        /// Name of the cookie with the session's id, for load balancers that keep a client at one node; not
        /// set: none.
        cookie: Option<String> = None;
        /// Open sessions at most; more are answered 503. Not set: as many as the system has descriptors.
        max_sessions: Option<usize> = None;
        /// Sessions opened in one second at most; more are answered 503. Not set: no limit.
        max_handshakes_per_second: Option<u32> = None;
    }
    "What clients may do" {
        /// The namespaces: names, or patterns such as "/orders/{id}".
        namespaces: Vec<NamespaceName> = vec![NamespaceName("/".into())];
        /// Rooms that one client may be in, in one namespace.
        max_rooms: usize = 256;
        /// The longest name of a room, in bytes.
        max_room_name: Positive = Positive(128);
        /// join, leave and publish of one client in one namespace, per second (a burst of one second's worth
        /// is taken); 0 is no limit. What is over it is refused.
        max_events_per_second: u32 = 100;
    }
    "The protocol" {
        /// "json", or "msgpack" for clients with socket.io-msgpack-parser. All clients speak the same.
        parser: Parser = Parser::Json;
        /// How long after the last heartbeat the next one is sent. Proxies must allow longer idle times.
        ping_interval: Span = Span::seconds(25);
        /// How long a client may take to answer a heartbeat.
        ping_timeout: Span = Span::seconds(20);
        /// How long an upgrade from polling to WebSocket may take.
        upgrade_timeout: Span = Span::seconds(10);
        /// How long a client may be connected without entering a namespace.
        connect_timeout: Span = Span::seconds(45);
        /// How long a closing session waits for its last packets to be fetched.
        close_timeout: Span = Span::seconds(30);
        /// How long the body of a POST may take.
        post_timeout: Span = Span::seconds(30);
        /// How long the attachments of a binary packet may take.
        attachments_timeout: Span = Span::seconds(10);
        /// Whether WebSocket messages from 1,024 bytes on are compressed for clients that offer it.
        per_message_deflate: bool = false;
        /// From which length in bytes polling answers are compressed; 0 is never.
        http_compression: usize = 1024;
    }
    "What is kept" {
        /// How long a client whose connection broke can come back to its rooms and to the events that it
        /// missed, in all namespaces; not set: never. Events end with one more argument then, an offset.
        recovery: Option<Span> = None;
        /// A folder in which it is kept as well, so that clients come back to a server that was killed and started
        /// again; not set: in memory alone.
        recovery_file: Option<PathBuf> = None;
        /// How safe an event is in its file before anybody gets it: "none", "batched" (survives the process) or
        /// "synced" (survives a loss of power).
        recovery_durability: Durability = Durability::Batched;
        /// Bytes of events that each namespace keeps for it, about.
        recovery_bytes: Positive = Positive(16 << 20);
        /// Whether events can be read that were sent before: over HTTP, at <path>/history/<namespace>/rooms/<room>/events,
        /// and by clients that join a room. Of rooms whose rule has read = true, and as long as recovery keeps them.
        history: bool = false;
        /// How long a request for history may wait for news.
        history_max_wait: Span = Span::seconds(60);
        /// Requests for history that may wait or stream at one time; more are answered 503.
        history_max_waiting: Positive = Positive(1000);
    }
    "Limits" {
        /// The longest message or polling body of a client, in bytes.
        max_payload: Positive = Positive(1_000_000);
        /// Attachments of one packet.
        max_attachments: usize = 10;
        /// Namespaces that one client may be in.
        max_namespaces: Positive = Positive(64);
        /// Events of one client that may wait for their turn; then the server stops reading from it.
        max_pending_events: Positive = Positive(256);
        /// The same in bytes.
        max_pending_bytes: Positive = Positive(1 << 20);
        /// What may wait to be sent to one client, in bytes; a client over it is disconnected ("slow
        /// reader").
        max_send_buffer: Positive = Positive(4 << 20);
        /// What packets, partial reads and bodies of all clients may hold, in bytes; over it the slowest
        /// readers go first.
        max_memory: Positive = Positive(1 << 30);
        /// The kernel's send buffer of each WebSocket, in bytes; not set: the system's default.
        socket_send_buffer: Option<usize> = None;
    }
    "Rules" {
        /// What clients that read too slowly may miss of what is published to which rooms: policy = "drop-oldest", or
        /// "latest-by-key" with the member of the data that is the key (key = "symbol"). The first entry that fits
        /// namespace and room counts; where none fits, they are disconnected, as with "disconnect".
        slow_readers: Vec<SlowRule> = Vec::new();
        /// What clients may do in which rooms. The first entry that fits namespace and room counts ("*"
        /// stands for any characters); where none fits, nothing is allowed. Entries of a file replace the
        /// default ones, which allow everything in "/" but rooms whose name starts with "$".
        allow: Vec<Allow> = Allow::defaults();
    }
}

/// A setting's name and what it means.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Lines, each with the space that the comment has in front.
    pub(crate) doc: &'static [&'static str],
}

/// A setting that is not from the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Where it was found, for errors: `--port`, `TRUNKLINE_PORT`.
    pub(crate) source: String,
    pub(crate) name: String,
    pub(crate) value: String,
}

const ENVIRONMENT: &str = "TRUNKLINE_";

impl Config {
    /// The file, then the environment, then the flags.
    ///
    /// # Errors
    /// For whatever is unknown, misspelt, of the wrong type or contradictory; the line says where.
    pub(crate) fn load(
        file: Option<PathBuf>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        flags: &[Setting],
    ) -> Result<Self, Failure> {
        let mut settings = from_environment(environment)?;
        let named = settings.iter().position(|s| s.name == "config").map(|i| settings.swap_remove(i).value);
        let mut config = match file.or_else(|| named.map(PathBuf::from)) {
            Some(path) => files::read(&path)?,
            None => Self::default(),
        };
        for Setting { source, name, value } in settings.iter().chain(flags) {
            config.set(name, value).map_err(|e| Failure::config(format!("{source}: {e}")))?;
        }
        config.agrees()?;
        Ok(config)
    }

    /// What no setting can check by itself.
    fn agrees(&self) -> Result<(), Failure> {
        let conflict = match self {
            Self { tls_cert: Some(_), tls_key: None, .. } => "tls_cert needs tls_key beside it",
            Self { tls_cert: None, tls_key: Some(_), .. } => "tls_key needs tls_cert beside it",
            Self { recovery: None, recovery_file: Some(_), .. } => "recovery_file needs recovery beside it",
            Self { transports, .. } if transports.is_empty() => "transports: at least one is needed",
            Self { namespaces, .. } if namespaces.is_empty() => "namespaces: at least one is needed",
            Self { history: true, recovery: None, .. } => {
                "history needs recovery beside it: it keeps the events"
            }
            Self { shards, .. } if *shards > 64 => "shards: at most 64",
            Self { cors_credentials: true, cors_origins, .. } if cors_origins.is_empty() => {
                "cors_credentials needs cors_origins beside it: it is about their pages"
            }
            Self { recovery_file: None, recovery_durability, .. }
                if *recovery_durability != Durability::Batched =>
            {
                "recovery_durability needs recovery_file beside it"
            }
            Self { max_handshakes_per_second: Some(0), .. } => {
                "max_handshakes_per_second: at least 1; without it there is no limit"
            }
            _ => return Ok(()),
        };
        Err(Failure::config(conflict))
    }

    /// Whether the chat is served. A namespace of the operator's is not taken over, nor is one of a pattern: what is before
    /// its first parameter says which those can be.
    pub(crate) fn has_chat(&self) -> bool {
        let is_used = self.namespaces.iter().any(|NamespaceName(name)| match name.split_once('{') {
            Some((literal, _)) => chat::NAMESPACE.starts_with(literal),
            None => name == chat::NAMESPACE,
        });
        self.start_page && self.apps && self.serve_client && self.parser == Parser::Json && !is_used
    }

    /// The number of shards; 0 stands for one per core.
    pub(crate) fn shard_count(&self) -> usize {
        match self.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(64),
            shards => usize::from(shards),
        }
    }
}

fn from_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<Setting>, Failure> {
    let mut settings = Vec::new();
    for (source, value) in variables {
        let Some(source) = source.to_str() else { continue };
        let Some(name) = source.strip_prefix(ENVIRONMENT) else { continue };
        let name = name.to_ascii_lowercase();
        let Some(value) = value.to_str() else {
            return Err(Failure::config(format!("{source}: not UTF-8")));
        };
        if name != "config" && !is_setting(&name) {
            let hint =
                suggest(&name).map(|s| format!("; did you mean {ENVIRONMENT}{}?", s.to_ascii_uppercase()));
            return Err(Failure::config(format!("{source}: unknown setting{}", hint.unwrap_or_default())));
        }
        // Set to nothing is what shells and compose files make of "not set".
        if !value.is_empty() {
            settings.push(Setting { source: source.to_owned(), name, value: value.to_owned() });
        }
    }
    // The order of the environment is not the operator's.
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}

pub(crate) fn is_setting(name: &str) -> bool {
    fields().any(|field| field.name == name)
}

/// The setting that was most likely meant.
pub(crate) fn suggest(name: &str) -> Option<&'static str> {
    let ranked = fields().map(|field| (distance(name, field.name), field.name));
    ranked.min().filter(|(distance, found)| *distance <= found.len() / 3).map(|(_, found)| found)
}

fn fields() -> impl Iterator<Item = &'static Field> {
    SECTIONS.iter().flat_map(|(_, fields)| fields.iter())
}

/// A text from outside the file: TOML, or else a string without quotes.
fn value<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let as_text = || T::deserialize(toml::Value::String(text.to_owned()));
    match toml::from_str::<toml::Table>(&format!("value = {text}")).ok().and_then(|mut t| t.remove("value")) {
        Some(value) => T::deserialize(value).or_else(|error| {
            // The one that says what is wanted, not the one that says what the text is not.
            as_text().map_err(|other| if other.message().starts_with("invalid type") { error } else { other })
        }),
        None => as_text(),
    }
    .map_err(|error| error.message().to_owned())
}

/// How many letters must be changed, added, removed or swapped with their neighbour (Levenshtein, with
/// swaps).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let changed = last[j] + usize::from(a[i] != b[j]);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(n, v)| (OsString::from(n), OsString::from(v)));
        let flags: Vec<_> = flags
            .iter()
            .map(|(n, v)| Setting { source: format!("--{n}"), name: (*n).to_owned(), value: (*v).to_owned() })
            .collect();
        Config::load(None, environment, &flags).map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_count_before_the_environment() {
        let environment =
            [("TRUNKLINE_PORT", "4000"), ("TRUNKLINE_HOST", "::"), ("OTHER", "1"), ("TRUNKLINE_LOG", "")];
        let config = load(&environment, &[("port", "5000")]).expect("all of it is right");
        assert_eq!((config.port, &*config.host, &*config.log.0), (5000, "::", "info"));
    }

    #[test]
    fn values_are_toml_or_plain_text() {
        let flags = [
            ("namespaces", "[\"/\", \"/chat\"]"),
            ("ping_interval", "5s"),
            ("internal", "off"),
            ("tls_cert", "/etc/cert.pem"),
            ("tls_key", "7"),
            ("cors_origins", "[\"https://a.example\"]"),
            ("cors_credentials", "true"),
            ("transports", "[\"websocket\"]"),
        ];
        let config = load(&[], &flags).expect("all of it is right");
        assert_eq!(config.namespaces.len(), 2);
        assert_eq!(config.ping_interval, Span::seconds(5));
        assert_eq!(config.internal, Internal::Off);
        assert_eq!(config.tls_key, Some(PathBuf::from("7")));
        assert!(config.cors_credentials);
        assert_eq!(config.transports, [Transport::WebSocket]);
    }

    #[test]
    fn the_chat_leaves_namespaces_to_the_operator() {
        let has_chat =
            |name: &str, value: &str| load(&[], &[(name, value)]).expect("all of it is right").has_chat();
        assert!(Config::default().has_chat());
        assert!(has_chat("namespaces", "[\"/\", \"/orders/{id}\"]"));
        for namespaces in ["[\"/chat\"]", "[\"/\", \"/{any}\"]", "[\"/ch{rest}\"]"] {
            assert!(!has_chat("namespaces", namespaces), "{namespaces}");
        }
        for off in ["apps", "start_page", "serve_client"] {
            assert!(!has_chat(off, "false"), "{off}");
        }
        assert!(!has_chat("parser", "msgpack"));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |environment: &[(&str, &str)], flags: &[(&str, &str)], expected: &str| {
            let error = load(environment, flags).unwrap_err();
            assert!(error.starts_with(expected), "{error:?} instead of {expected:?}");
        };
        check(
            &[("TRUNKLINE_PROT", "1")],
            &[],
            "TRUNKLINE_PROT: unknown setting; did you mean TRUNKLINE_PORT?",
        );
        check(&[("TRUNKLINE_PORT", "http")], &[], "TRUNKLINE_PORT: invalid type");
        check(&[("TRUNKLINE_TRUNKLINE_PORT", "1")], &[], "TRUNKLINE_TRUNKLINE_PORT: unknown setting");
        check(&[], &[("port", "70000")], "--port: ");
        check(&[], &[("ping_interval", "5")], "--ping_interval: \"5\" is not a duration");
        check(&[], &[("log", "inof")], "--log: \"inof\" is not a level");
        check(&[], &[("tls_cert", "a.pem")], "tls_cert needs tls_key beside it");
        check(&[], &[("recovery_file", "/tmp/x")], "recovery_file needs recovery beside it");
        check(&[], &[("history", "true")], "history needs recovery beside it: it keeps the events");
        check(&[], &[("transports", "[]")], "transports: at least one");
        check(&[], &[("max_payload", "0")], "--max_payload: must be at least 1");
        check(&[], &[("cors_credentials", "true")], "cors_credentials needs cors_origins beside it");
        check(&[], &[("recovery_durability", "synced")], "recovery_durability needs recovery_file beside it");
        check(&[], &[("max_handshakes_per_second", "0")], "max_handshakes_per_second: at least 1");
    }

    #[test]
    fn misspelt_names_are_recognised() {
        let check = |name: &str, expected: Option<&str>| assert_eq!(suggest(name), expected, "{name}");
        check("prot", Some("port"));
        check("ping_intervall", Some("ping_interval"));
        check("namespace", Some("namespaces"));
        check("cors_origin", Some("cors_origins"));
        check("frobnicate", None);
    }
}

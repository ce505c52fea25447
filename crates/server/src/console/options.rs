//! What the command line of `connect`, `emit` and `listen` says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use trunkline_client::Value;

use super::args;
use super::target::Target;
use crate::Failure;
use crate::setting::Span;

pub(crate) const HELP: &str = "\
usage: trunkline connect URL [OPTION]...
       trunkline emit URL EVENT [ARG]... [OPTION]...
       trunkline listen URL [OPTION]...

  connect                a session: prints every event; type help in it. With standard input piped, one command per line
  emit                   send one event, print the values of its answer as JSON, one per line
  listen                 print events until SIGINT

The path of the URL is the namespace: http://host/chat is /chat of http://host. An ARG is JSON, or else text; str:1 is
the text \"1\"; @FILE, hex:00ff and base64:AP8= are binary. After -- nothing is an option.

  --auth JSON            what the server is told on connecting, an object; @FILE reads it from a file
  --path PATH            where the server answers; default /socket.io/
  --transport NAME       websocket, polling, or upgrade (polling, then WebSocket; the default)
  --parser NAME          json (the default) or msgpack
  --header 'NAME: VALUE' send this header; may be repeated, as the next two
  --query NAME=VALUE     add this to the query
  --cookie NAME=VALUE    send this cookie
  --timeout TIME         for connecting, each answer, and sending the rest; default 10s
  --proxy URL            http://, socks5:// or socks5h://
  --ca FILE              trust these certificates (PEM) instead of the system's
  --cert FILE --key FILE show this client certificate (PEM)
  --insecure             do not check the server's certificate
  --no-reconnect         a lost connection is the end (connect, listen)
  --json                 lines of JSON also on a terminal (connect, listen)
  --no-ack               do not wait for an answer (emit)
  --event NAME           only this event; may be repeated (listen)
  --count N              end after N events (listen)

Exit codes: 0 done; 1 refused, no connection, no answer in time, or the answer is an error; 2 the command line is wrong;
130 SIGINT, 143 SIGTERM.
";

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Connect,
    Emit,
    Listen,
    /// In `verify`; here are the options of its connections.
    Verify,
    /// In `load`, likewise.
    Bench,
}

impl Verb {
    /// The verb of this name.
    pub(crate) fn named(word: &str) -> Option<Self> {
        let all = [Self::Connect, Self::Emit, Self::Listen, Self::Verify, Self::Bench];
        all.into_iter().find(|verb| verb.name() == word)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Emit => "emit",
            Self::Listen => "listen",
            Self::Verify => "verify",
            Self::Bench => "bench",
        }
    }
}

/// By what the connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Polling,
    Upgrade,
}

/// All options; each verb knows some of them.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) target: Target,
    /// `emit`: the event and its arguments.
    pub(crate) event: String,
    pub(crate) args: Vec<Value>,
    /// `emit`: whether an answer is waited for.
    pub(crate) ack: bool,
    /// `listen`: the events that are printed; all if empty.
    pub(crate) events: Vec<String>,
    /// `listen`: how many are printed.
    pub(crate) count: Option<u64>,
    pub(crate) auth: Option<serde_json::Map<String, serde_json::Value>>,
    pub(crate) path: Option<String>,
    pub(crate) transport: Transport,
    pub(crate) msgpack: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) cookies: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) proxy: Option<String>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) reconnect: bool,
    pub(crate) json: bool,
}

impl Options {
    /// Reads the words after the verb; `None` if help is asked for.
    ///
    /// # Errors
    /// What is wrong with them: exit code 2.
    pub(crate) fn parse(
        verb: Verb,
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Self>, Failure> {
        let mut options = Self::new();
        let mut plain = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let word = text(word)?;
            match word.strip_prefix("--") {
                Some("") => {
                    for word in words.by_ref() {
                        plain.push(text(word)?);
                    }
                }
                Some("help") => return Ok(None),
                Some(flag) => {
                    let (flag, value) = match flag.split_once('=') {
                        Some((flag, value)) => (flag, Some(value.to_owned())),
                        None => (flag, None),
                    };
                    if !is_known(verb, flag) {
                        return Err(wrong(format!(
                            "unknown option --{flag}; see trunkline {} --help",
                            verb.name()
                        )));
                    }
                    if !options.switch(flag, value.is_some())? {
                        let value = match value {
                            Some(value) => value,
                            None => {
                                text(words.next().ok_or_else(|| wrong(format!("--{flag} needs a value")))?)?
                            }
                        };
                        options.set(flag, value)?;
                    }
                }
                None if word == "-h" => return Ok(None),
                None => plain.push(word),
            }
        }
        options.take(verb, &plain)?;
        options.check()?;
        Ok(Some(options))
    }

    fn new() -> Self {
        Self {
            target: Target { server: String::new(), namespace: String::new() },
            event: String::new(),
            args: Vec::new(),
            ack: true,
            events: Vec::new(),
            count: None,
            auth: None,
            path: None,
            transport: Transport::Upgrade,
            msgpack: false,
            headers: Vec::new(),
            query: Vec::new(),
            cookies: Vec::new(),
            timeout: Duration::from_secs(10),
            proxy: None,
            ca: None,
            cert: None,
            key: None,
            insecure: false,
            reconnect: true,
            json: false,
        }
    }

    /// Sets an option without a value; false if it is none of them.
    fn switch(&mut self, flag: &str, has_value: bool) -> Result<bool, Failure> {
        match flag {
            "insecure" => self.insecure = true,
            "no-reconnect" => self.reconnect = false,
            "json" => self.json = true,
            "no-ack" => self.ack = false,
            _ => return Ok(false),
        }
        if has_value { Err(wrong(format!("--{flag} takes no value"))) } else { Ok(true) }
    }

    /// Sets an option that has a value.
    fn set(&mut self, flag: &str, value: String) -> Result<(), Failure> {
        let bad = |what: &str| wrong(format!("--{flag}: \"{value}\" is not {what}"));
        let pair = |separator: char| {
            let (name, value) = value.split_once(separator)?;
            (!name.trim().is_empty()).then(|| (name.trim().to_owned(), value.trim().to_owned()))
        };
        match flag {
            "auth" => self.auth = Some(auth(&value)?),
            "path" => self.path = Some(value),
            "transport" => {
                self.transport = match value.as_str() {
                    "websocket" => Transport::WebSocket,
                    "polling" => Transport::Polling,
                    "upgrade" => Transport::Upgrade,
                    _ => return Err(bad("websocket, polling or upgrade")),
                }
            }
            "parser" => {
                self.msgpack = match value.as_str() {
                    "json" => false,
                    "msgpack" => true,
                    _ => return Err(bad("json or msgpack")),
                }
            }
            "header" => self.headers.push(pair(':').ok_or_else(|| bad("NAME: VALUE"))?),
            "query" => self.query.push(pair('=').ok_or_else(|| bad("NAME=VALUE"))?),
            "cookie" => {
                pair('=').ok_or_else(|| bad("NAME=VALUE"))?;
                self.cookies.push(value);
            }
            "timeout" => {
                let span =
                    Span::parse(&value).ok_or_else(|| bad("a duration such as \"5s\" or \"500ms\""))?;
                self.timeout = span.0;
            }
            "proxy" => self.proxy = Some(value),
            "ca" => self.ca = Some(value.into()),
            "cert" => self.cert = Some(value.into()),
            "key" => self.key = Some(value.into()),
            "event" => self.events.push(value),
            "count" => {
                let count = value.parse().ok().filter(|count| *count > 0);
                self.count = Some(count.ok_or_else(|| bad("a number from 1"))?);
            }
            _ => return Err(bad("an option")),
        }
        Ok(())
    }

    /// Takes the words that are no options.
    fn take(&mut self, verb: Verb, words: &[String]) -> Result<(), Failure> {
        let (address, rest) = words.split_first().ok_or_else(|| wrong("the URL is missing"))?;
        self.target = Target::parse(address).map_err(wrong)?;
        match (verb, rest.split_first()) {
            (Verb::Emit, Some((event, args))) => {
                self.event.clone_from(event);
                self.args = args::arguments(args).map_err(wrong)?;
            }
            (Verb::Emit, None) => return Err(wrong("the event is missing")),
            (_, Some((word, _))) => return Err(wrong(format!("unknown argument \"{word}\""))),
            (_, None) => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        if self.cert.is_some() != self.key.is_some() {
            return Err(wrong("--cert and --key belong together"));
        }
        if self.insecure && self.ca.is_some() {
            return Err(wrong("--insecure checks nothing, so --ca has no use beside it"));
        }
        Ok(())
    }
}

/// Whether a verb has this option.
fn is_known(verb: Verb, flag: &str) -> bool {
    match verb {
        _ if ALL.contains(&flag) => true,
        Verb::Connect => ["json", "no-reconnect"].contains(&flag),
        Verb::Emit => flag == "no-ack",
        Verb::Listen => ["json", "no-reconnect", "event", "count"].contains(&flag),
        Verb::Verify | Verb::Bench => flag == "json",
    }
}

/// The options of every verb.
const ALL: [&str; 13] = [
    "auth",
    "path",
    "transport",
    "parser",
    "header",
    "query",
    "cookie",
    "timeout",
    "proxy",
    "ca",
    "cert",
    "key",
    "insecure",
];

/// What `--auth` says: an object, or `@` and a file that holds one, so that a secret stays out of the process list.
fn auth(value: &str) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    let failure = |error: &dyn std::fmt::Display| wrong(format!("--auth: {error}"));
    let parsed = match value.strip_prefix('@') {
        Some(path) => serde_json::from_slice(&args::read(path).map_err(|error| failure(&error))?),
        None => serde_json::from_str(value),
    };
    parsed.map_err(|error| failure(&format_args!("an object is expected: {error}")))
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| wrong(format!("{}: not UTF-8", word.display())))
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::config(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(verb: Verb, words: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(verb, words.iter().map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn options_stand_anywhere() {
        let words =
            ["--timeout=500ms", "h/chat", "post", "--no-ack", "1", "-5", "--auth", r#"{"a":1}"#, "--", "--x"];
        let options = parse(Verb::Emit, &words).expect("all of it is known").expect("no help is asked for");
        assert_eq!(options.target, Target { server: "http://h".into(), namespace: "/chat".into() });
        assert_eq!((options.event.as_str(), options.ack), ("post", false));
        assert_eq!(options.args, [Value::from(1), Value::from(-5), Value::from("--x")]);
        assert_eq!(options.timeout, Duration::from_millis(500));
        assert_eq!(options.auth.expect("given")["a"], 1);
        assert_eq!(
            parse(Verb::Emit, &["--bogus=1", "--help"]),
            Err("unknown option --bogus; see trunkline emit --help".into())
        );
        assert_eq!(parse(Verb::Listen, &["-h"]), Ok(None));
    }

    #[test]
    fn what_is_repeated_adds_up() {
        let words = [
            "h",
            "--header",
            "a: b:c",
            "--header",
            "d:e",
            "--query",
            "x=1=2",
            "--cookie",
            "a=b",
            "--cookie=c=",
        ];
        let options = parse(Verb::Listen, &words).expect("all of it is known").expect("no help is asked for");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(options.headers, [pair("a", "b:c"), pair("d", "e")]);
        assert_eq!(
            (options.query, options.cookies),
            (vec![pair("x", "1=2")], vec!["a=b".to_owned(), "c=".to_owned()])
        );
    }

    #[test]
    fn mistakes_are_named() {
        let check = |verb, words: &[&str], expected: &str| {
            let error = parse(verb, words).expect_err(expected);
            assert!(error.contains(expected), "{words:?}: {error}");
        };
        check(Verb::Connect, &[], "the URL is missing");
        check(Verb::Connect, &["h", "x"], "unknown argument \"x\"");
        check(Verb::Connect, &["h", "--count", "1"], "unknown option --count");
        check(Verb::Emit, &["h"], "the event is missing");
        check(Verb::Emit, &["h", "e", "hex:1"], "hexadecimal");
        check(Verb::Emit, &["h", "e", "--timeout"], "--timeout needs a value");
        check(Verb::Emit, &["h", "e", "--timeout", "5"], "is not a duration");
        check(Verb::Emit, &["h", "e", "--no-ack=1"], "--no-ack takes no value");
        check(Verb::Listen, &["h", "--count", "0"], "is not a number from 1");
        check(Verb::Listen, &["h", "--transport", "tcp"], "is not websocket");
        check(Verb::Listen, &["h", "--header", "x"], "is not NAME: VALUE");
        check(Verb::Listen, &["h", "--auth", "[1]"], "--auth: an object is expected");
        check(Verb::Listen, &["h", "--auth", "@/nowhere"], "--auth: /nowhere: ");
        check(Verb::Listen, &["h", "--cert", "c"], "--cert and --key belong together");
        check(Verb::Listen, &["h", "--ca", "c", "--insecure"], "--insecure checks nothing");
    }
}

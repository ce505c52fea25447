//! The command line: one action, an optional file, and settings by their names.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::Failure;
use crate::config::{self, Setting};

pub(crate) const HELP: &str = "\
trunkline: a Socket.IO server for every official client, useful without code

usage: trunkline [serve|config] [--config FILE] [--SETTING VALUE]...
       trunkline connect|emit|listen URL ...    a client; below

  serve                  serve; also without a command
  config                 print the whole configuration as TOML, each setting with what it means

  --config FILE          read settings from this TOML file
  --host HOST            where to listen; default 127.0.0.1, 0.0.0.0 for all of IPv4, :: for all
  --port PORT            default 3000; 0 takes any free one
  --tls-cert FILE        serve TLS with this certificate chain (PEM); SIGHUP reads it again
  --tls-key FILE         and this private key (PEM)
  --SETTING VALUE        any setting that `trunkline config` names: --ping-interval 10s, --log debug
  --help, --version

Every setting is also an environment variable: TRUNKLINE_PORT, TRUNKLINE_PING_INTERVAL, and TRUNKLINE_CONFIG for the
file. A flag counts before the environment, the environment before the file.
";

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) action: Action,
    /// The file of `--config`.
    pub(crate) file: Option<PathBuf>,
    /// Settings, in order.
    pub(crate) settings: Vec<Setting>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Serve,
    Config,
    Help,
    Version,
}

/// # Errors
/// For an unknown word or flag, a flag without a value, or one that is not UTF-8.
pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Command, Failure> {
    let mut command = Command { action: Action::Serve, file: None, settings: Vec::new() };
    let mut named = false;
    while let Some(word) = words.next() {
        let word = text(word)?;
        let Some(flag) = word.strip_prefix("--") else {
            command.action = match word.as_str() {
                "-h" | "help" => return Ok(Command { action: Action::Help, ..command }),
                "-V" | "version" => return Ok(Command { action: Action::Version, ..command }),
                "serve" if !named => Action::Serve,
                "config" if !named => Action::Config,
                _ => {
                    return Err(Failure::config(format!(
                        "unknown argument \"{word}\"; see trunkline --help"
                    )));
                }
            };
            named = true;
            continue;
        };
        match flag {
            "help" => return Ok(Command { action: Action::Help, ..command }),
            "version" => return Ok(Command { action: Action::Version, ..command }),
            _ => {}
        }
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (flag.to_owned(), None),
        };
        let name = flag.replace('-', "_");
        if name != "config" && !config::is_setting(&name) {
            let hint = config::suggest(&name).map(|s| s.replace('_', "-"));
            let hint =
                hint.map_or_else(|| "see trunkline --help".to_owned(), |s| format!("did you mean --{s}?"));
            return Err(Failure::config(format!("unknown flag --{flag}; {hint}")));
        }
        let value = match value {
            Some(value) => value,
            None => text(words.next().ok_or_else(|| Failure::config(format!("--{flag} needs a value")))?)?,
        };
        if name == "config" {
            command.file = Some(value.into());
        } else {
            command.settings.push(Setting { source: format!("--{flag}"), name, value });
        }
    }
    Ok(command)
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| Failure::config(format!("{}: not UTF-8", word.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        super::parse(line.split_whitespace().map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn words_and_flags_in_any_order() {
        let command =
            parse("--port=4000 config --config a.toml --ping-interval 10s").expect("all of it is known");
        assert_eq!(command.action, Action::Config);
        assert_eq!(command.file, Some(PathBuf::from("a.toml")));
        let settings: Vec<_> = command.settings.iter().map(|s| (&*s.source, &*s.name, &*s.value)).collect();
        assert_eq!(settings, [("--port", "port", "4000"), ("--ping-interval", "ping_interval", "10s")]);
        assert_eq!(parse("").map(|c| c.action), Ok(Action::Serve));
        assert_eq!(parse("--port 1 --help --bogus").map(|c| c.action), Ok(Action::Help));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |line: &str, expected: &str| assert_eq!(parse(line).unwrap_err(), expected, "{line}");
        check("--prot 1", "unknown flag --prot; did you mean --port?");
        check("--zzzzzzzzz", "unknown flag --zzzzzzzzz; see trunkline --help");
        check("--port", "--port needs a value");
        check("sevre", "unknown argument \"sevre\"; see trunkline --help");
        check("serve config", "unknown argument \"config\"; see trunkline --help");
    }
}

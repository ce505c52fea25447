//! What can be typed while connected.

use trunkline_client::Value;

use super::args::{argument, arguments};
use super::words;

/// One line of a session.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Sends an event.
    Emit { event: String, args: Vec<Value> },
    /// Sends an event and waits for its answer.
    Ask { event: String, args: Vec<Value> },
    /// Answers the server's question of this number.
    Answer { number: u64, args: Vec<Value> },
    /// Enters the namespace again.
    Connect,
    /// Leaves it.
    Disconnect,
    /// Says how things are.
    Status,
    /// Prints [`HELP`].
    Help,
    /// Ends the session.
    Quit,
}

pub(crate) const HELP: &str = "\
  emit EVENT [ARG]...     send an event
  ack EVENT [ARG]...      send an event, print the answer and how long it took
  answer N [VALUE]...     answer the event that was shown as #N
  join ROOM, leave ROOM   the events `join` and `leave` of a trunkline server, with their answers
  connect, disconnect     enter the namespace again, leave it
  status, help, quit

  ARG is JSON, or else text: 1, true, {\"a\": [1, 2]}, hello, 'two words'
  str:1 is the text \"1\"; @FILE, hex:00ff and base64:AP8= are binary";

impl Command {
    /// Reads a line; `None` if it is empty.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, String> {
        let words = words::split(line)?;
        let Some((name, rest)) = words.split_first() else { return Ok(None) };
        let event = || -> Result<(String, Vec<Value>), String> {
            let (event, args) = rest.split_first().ok_or_else(|| format!("{name} needs an event's name"))?;
            Ok((event.clone(), arguments(args)?))
        };
        let alone = |command: Self| match rest.first() {
            None => Ok(command),
            Some(word) => Err(format!("{name} takes nothing, not \"{word}\"")),
        };
        let command = match name.as_str() {
            "emit" => event().map(|(event, args)| Self::Emit { event, args })?,
            "ack" => event().map(|(event, args)| Self::Ask { event, args })?,
            "join" | "leave" => match rest {
                // A room's name is text, also where it looks like a number.
                [room] => Self::Ask { event: name.clone(), args: vec![room_name(room)?] },
                _ => return Err(format!("{name} needs one room")),
            },
            "answer" => {
                let (number, args) = rest.split_first().ok_or("answer needs the number of an event")?;
                let number = number.trim_start_matches('#').parse();
                let number = number.map_err(|_| "answer needs the number of an event".to_owned())?;
                Self::Answer { number, args: arguments(args)? }
            }
            "connect" => alone(Self::Connect)?,
            "disconnect" => alone(Self::Disconnect)?,
            "status" => alone(Self::Status)?,
            "help" | "?" => alone(Self::Help)?,
            "quit" | "exit" => alone(Self::Quit)?,
            _ => return Err(format!("unknown command \"{name}\"; try help")),
        };
        Ok(Some(command))
    }
}

/// A room as typed: a JSON string is unquoted, everything else is taken as it is.
fn room_name(word: &str) -> Result<Value, String> {
    if word.starts_with('"') { argument(word) } else { Ok(word.strip_prefix("str:").unwrap_or(word).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands() {
        let ask = |event: &str, arg: Value| Command::Ask { event: event.into(), args: vec![arg] };
        for (line, command) in [
            ("emit a", Command::Emit { event: "a".into(), args: vec![] }),
            ("emit a 1 'b c'", Command::Emit { event: "a".into(), args: vec![1.into(), "b c".into()] }),
            ("ack a {\"x\": 1}", ask("a", [("x", 1)].into_iter().collect())),
            ("join 7", ask("join", "7".into())),
            ("leave \"a b\"", ask("leave", "a b".into())),
            ("answer #3 true", Command::Answer { number: 3, args: vec![true.into()] }),
            ("answer 3", Command::Answer { number: 3, args: vec![] }),
            (" quit ", Command::Quit),
            ("?", Command::Help),
        ] {
            assert_eq!(Command::parse(line), Ok(Some(command)), "{line}");
        }
        assert_eq!(Command::parse("  "), Ok(None));
    }

    #[test]
    fn mistakes_are_told() {
        for (line, part) in [
            ("emit", "needs an event's name"),
            ("join", "needs one room"),
            ("join a b", "needs one room"),
            ("answer", "needs the number"),
            ("answer x", "needs the number"),
            ("status now", "takes nothing"),
            ("ack a hex:0", "hexadecimal"),
            ("emti a", "unknown command \"emti\""),
        ] {
            let error = Command::parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}

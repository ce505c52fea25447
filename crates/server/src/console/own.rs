//! Options that a verb has for itself, beside those of its connections.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use crate::Failure;
use crate::setting::Span;

/// Options of a verb that has its own beside those of a connection.
#[derive(Debug)]
pub(crate) struct Own(Vec<(String, String)>);

impl Own {
    /// Takes the options `values`, which have a value, and `switches`, which have none, out of the words.
    ///
    /// # Errors
    /// If a value is missing, or given to a switch.
    pub(crate) fn take(
        words: impl IntoIterator<Item = OsString>,
        values: &[&str],
        switches: &[&str],
    ) -> Result<(Self, Vec<OsString>), Failure> {
        let (mut own, mut rest) = (Vec::new(), Vec::new());
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let flag = word.to_str().and_then(|word| word.strip_prefix("--")).unwrap_or_default();
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (flag.to_owned(), None),
            };
            if switches.contains(&name.as_str()) {
                if value.is_some() {
                    return Err(Failure::config(format!("--{name} takes no value")));
                }
                own.push((name, String::new()));
            } else if values.contains(&name.as_str()) {
                let next = || words.next().and_then(|word| word.into_string().ok());
                let value = value.or_else(next);
                own.push((
                    name.clone(),
                    value.ok_or_else(|| Failure::config(format!("--{name} needs a value")))?,
                ));
            } else {
                rest.push(word);
            }
        }
        Ok((Self(own), rest))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The last one counts.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        self.get(name).unwrap_or(default).to_owned()
    }

    /// # Errors
    /// If it is no number, or out of range.
    pub(crate) fn number<T>(
        &self,
        name: &str,
        default: T,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<T, Failure>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let (from, to) = range.into_inner();
            Failure::config(format!("--{name}: \"{text}\" is not a number from {from} to {to}"))
        })
    }

    /// # Errors
    /// If it is no duration.
    pub(crate) fn time(&self, name: &str, default: Duration) -> Result<Duration, Failure> {
        let Some(text) = self.get(name) else { return Ok(default) };
        Span::parse(text).map(|span| span.0).ok_or_else(|| {
            Failure::config(format!("--{name}: \"{text}\" is not a duration such as \"5s\" or \"500ms\""))
        })
    }
}

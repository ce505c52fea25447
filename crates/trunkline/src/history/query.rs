//! What of a room's events is asked for.

use std::time::Duration;

use http::header::{self, HeaderMap};

use crate::handshake::query_pairs;
use crate::log::{NOWHERE, Start};

/// The parameters of a request for history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) start: Start,
    pub(crate) limit: usize,
    /// How long it waits for news; zero: not at all.
    pub(crate) wait: Duration,
    /// As a stream of events, not as JSON.
    pub(crate) is_stream: bool,
}

/// Events of an answer, if nothing is said.
const LIMIT: usize = 100;

impl Query {
    /// Reads them from query and headers. `after`, `since` and `last` exclude each other; what is unknown is passed over.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse(query: &str, headers: &HeaderMap) -> Result<Self, &'static str> {
        let mut start = None;
        let mut set = |place: Start| match start.replace(place) {
            None => Ok(()),
            Some(_) => Err("only one of after, since and last"),
        };
        let (mut limit, mut wait) = (LIMIT, Duration::ZERO);
        for (name, value) in query_pairs(query) {
            match &*name {
                "after" => set(Start::After(value.parse().map_err(|_| "after is no position")?))?,
                "since" => set(Start::Since(number(&value).ok_or("since is no time in milliseconds")?))?,
                "last" => {
                    let last = number(&value).ok_or("last is no number")?;
                    set(Start::Last(usize::try_from(last).unwrap_or(usize::MAX)))?;
                }
                "limit" => {
                    let number = number(&value).filter(|n| *n > 0).ok_or("limit is no number above 0")?;
                    limit = usize::try_from(number).unwrap_or(usize::MAX);
                }
                "wait" => wait = time(&value).ok_or("wait is no time such as 25s")?,
                _ => {}
            }
        }
        let is_stream = wants_stream(headers);
        // A browser sends it when it comes back by itself, and would stay away after an error: what cannot be read is a gap.
        let last_id = headers.get("last-event-id").filter(|id| is_stream && !id.is_empty());
        let came_back = last_id.map(|id| id.to_str().ok().and_then(|id| id.parse().ok()).unwrap_or(NOWHERE));
        let start = match came_back {
            Some(position) => Start::After(position),
            None => start.unwrap_or(Start::Oldest),
        };
        Ok(Self { start, limit, wait, is_stream })
    }
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `25s`, `500ms`, `1m`; a number alone is seconds.
fn time(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit);
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    Some(Duration::from_millis(number(digits)?.saturating_mul(factor)))
}

/// Whether `Accept` names the type of event streams (a wildcard is no wish for one).
fn wants_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let (kind, params) = item.split_once(';').unwrap_or((item, ""));
        let is_refused =
            params.split(';').any(|p| p.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        kind.trim().eq_ignore_ascii_case("text/event-stream") && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::log::Position;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    const AFTER: Position = Position { epoch: 7, sequence: 35 };

    #[test]
    fn parameters_are_read() {
        let none = headers(&[]);
        let check = |query: &str, start, limit, wait| {
            let wait = Duration::from_millis(wait);
            let expected = Query { start, limit, wait, is_stream: false };
            assert_eq!(Query::parse(query, &none), Ok(expected), "{query}");
        };
        check("", Start::Oldest, 100, 0);
        check("after=000007.0000000000z&limit=5&wait=25s", Start::After(AFTER), 5, 25_000);
        check("since=1763734560123&x=y", Start::Since(1_763_734_560_123), 100, 0);
        check("last=0&wait=2", Start::Last(0), 100, 2_000);
        check("wait=1500ms", Start::Oldest, 100, 1_500);
        check("wait=1m", Start::Oldest, 100, 60_000);
        for (query, error) in [
            ("after=5", "after is no position"),
            ("since=yesterday", "since is no time in milliseconds"),
            ("since=-1", "since is no time in milliseconds"),
            ("since=99999999999999999999", "since is no time in milliseconds"),
            ("last=", "last is no number"),
            ("limit=0", "limit is no number above 0"),
            ("limit=+1", "limit is no number above 0"),
            ("wait=s", "wait is no time such as 25s"),
            ("wait=1h", "wait is no time such as 25s"),
            ("last=1&since=1", "only one of after, since and last"),
        ] {
            assert_eq!(Query::parse(query, &none), Err(error), "{query}");
        }
    }

    #[test]
    fn a_stream_goes_on_where_its_reader_was() {
        let start = |query: &str, pairs: &[(&'static str, &'static str)]| {
            let query = Query::parse(query, &headers(pairs)).unwrap();
            (query.is_stream, query.start)
        };
        let stream = ("accept", "text/html, text/event-stream;q=0.5");
        let id = ("last-event-id", "000007.0000000000z");
        assert_eq!(start("last=5", &[stream]), (true, Start::Last(5)));
        assert_eq!(start("last=5", &[stream, id]), (true, Start::After(AFTER)));
        assert_eq!(start("last=5", &[id]), (false, Start::Last(5)), "only streams have it");
        assert_eq!(start("", &[stream, ("last-event-id", "17-0")]), (true, Start::After(NOWHERE)));
        assert_eq!(start("", &[stream, ("last-event-id", "")]), (true, Start::Oldest));
        assert!(!start("", &[("accept", "*/*")]).0);
        assert!(!start("", &[("accept", "text/event-stream; q=0")]).0);
    }
}

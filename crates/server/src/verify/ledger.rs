//! What was published, what a receiver heard of it, and what follows from the two. No IO and no clock.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;

/// What is known of a number that was sent to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Sent, not answered, or the answer was lost: it may exist or not. Numbers are never sent again.
    Unsure,
    /// The server acknowledged it.
    Taken,
    /// The server answered with an error, or it never left.
    Refused,
}

/// The numbers of one room, from 0.
#[derive(Debug, Default)]
pub(crate) struct Published(Vec<Fate>);

impl Published {
    /// The next number, about to be sent.
    pub(crate) fn begin(&mut self) -> u64 {
        self.0.push(Fate::Unsure);
        self.0.len() as u64 - 1
    }

    pub(crate) fn settle(&mut self, number: u64, fate: Fate) {
        if let Some(known) = usize::try_from(number).ok().and_then(|at| self.0.get_mut(at)) {
            *known = fate;
        }
    }

    /// The first number that was not sent yet.
    pub(crate) fn next(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.0.iter().filter(|known| **known == fate).count() as u64
    }

    fn fate(&self, number: u64) -> Option<Fate> {
        self.0.get(usize::try_from(number).ok()?).copied()
    }
}

/// What one receiver heard of its room.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// A bit for each number.
    seen: Vec<u64>,
    /// The first number above all that were heard.
    end: u64,
    received: u64,
    twice: Vec<u64>,
    late: Vec<u64>,
    /// From where on nothing is promised: the server said that the client is a new one.
    gap_from: Option<u64>,
    gaps: Vec<Range<u64>>,
    /// Numbers too high to be kept.
    wild: u64,
}

impl Heard {
    /// A number came.
    pub(crate) fn event(&mut self, number: u64) {
        self.received += 1;
        let (word, bit) = (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64));
        if word >= MAX_WORDS {
            self.wild += 1;
            return;
        }
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        let Some(bits) = self.seen.get_mut(word) else { return };
        if *bits & bit != 0 {
            self.twice.push(number);
            return;
        }
        *bits |= bit;
        if number < self.end {
            self.late.push(number);
        }
        self.end = self.end.max(number + 1);
    }

    /// The server said that it does not know the client any more: what follows the last number heard may be missing.
    pub(crate) fn open_gap(&mut self) {
        self.gap_from.get_or_insert(self.end);
    }

    /// The client is in its room again; what was sent from `next` on must come.
    pub(crate) fn close_gap(&mut self, next: u64) {
        if let Some(from) = self.gap_from.take()
            && from < next
        {
            self.gaps.push(from..next);
        }
    }

    fn has(&self, number: u64) -> bool {
        let word = usize::try_from(number / 64).ok().and_then(|word| self.seen.get(word));
        word.is_some_and(|bits| bits & (1 << (number % 64)) != 0)
    }

    /// Whether something is still to come.
    pub(crate) fn is_missing(&self, published: &Published) -> bool {
        self.missing(published).any(|(_, in_gap)| !in_gap)
    }

    /// What the server acknowledged and the receiver did not hear, and whether that is in a gap.
    fn missing<'a>(&'a self, published: &'a Published) -> impl Iterator<Item = (u64, bool)> + 'a {
        let open = self.gap_from.map(|from| from..u64::MAX);
        (0..published.next())
            .filter(|number| published.fate(*number) == Some(Fate::Taken) && !self.has(*number))
            .map(move |number| {
                let in_gap = self.gaps.iter().chain(&open).any(|gap| gap.contains(&number));
                (number, in_gap)
            })
    }

    /// What follows from what was published.
    pub(crate) fn judge(&self, published: &Published) -> Verdict {
        let (mut lost, mut gaps) = (Ranges::default(), Ranges::default());
        for (number, in_gap) in self.missing(published) {
            if in_gap { gaps.add(number) } else { lost.add(number) }
        }
        let invented = (published.next()..self.end).filter(|number| self.has(*number)).count();
        // Where the publisher's own connection was lost, its last events may be taken after its next ones.
        let is_sure = |number: &u64| published.fate(*number) == Some(Fate::Taken);
        Verdict {
            expected: published.count(Fate::Taken),
            received: self.received,
            lost,
            gaps,
            duplicated: self.twice.clone(),
            reordered: self.late.iter().copied().filter(is_sure).collect(),
            invented: self.wild + invented as u64,
        }
    }
}

/// How a receiver fared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Events that the server acknowledged.
    pub(crate) expected: u64,
    /// Events that came, all counted.
    pub(crate) received: u64,
    /// Acknowledged, never came, and the server did not say that something is missing.
    pub(crate) lost: Ranges,
    /// Acknowledged and never came, but the server said that the client is a new one.
    pub(crate) gaps: Ranges,
    /// Came again.
    pub(crate) duplicated: Vec<u64>,
    /// Came after a higher number.
    pub(crate) reordered: Vec<u64>,
    /// Were never published.
    pub(crate) invented: u64,
}

/// Numbers in runs.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a number, higher than those before.
    fn add(&mut self, number: u64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => self.0.push((number, number)),
        }
    }

    /// First and last of each run.
    pub(crate) fn runs(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// How many numbers.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }
}

impl FromIterator<u64> for Ranges {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut ranges = Self::default();
        for number in numbers.into_iter().collect::<BTreeSet<_>>() {
            ranges.add(number);
        }
        ranges
    }
}

/// What a number may cost: 32 MiB of bits are more than are published in a day.
const MAX_WORDS: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten numbers, all taken but for these.
    fn published(others: &[(u64, Fate)]) -> Published {
        let mut published = Published::default();
        for _ in 0..10 {
            let number = published.begin();
            published.settle(number, Fate::Taken);
        }
        for (number, fate) in others {
            published.settle(*number, *fate);
        }
        published
    }

    fn heard(numbers: &[u64]) -> Heard {
        let mut heard = Heard::default();
        numbers.iter().for_each(|number| heard.event(*number));
        heard
    }

    #[test]
    fn all_is_well() {
        let (heard, published) = (heard(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), published(&[]));
        assert!(!heard.is_missing(&published));
        assert_eq!(heard.judge(&published), Verdict { expected: 10, received: 10, ..Verdict::default() });
    }

    #[test]
    fn lost_twice_and_out_of_order() {
        let verdict = heard(&[0, 1, 5, 4, 5, 9]).judge(&published(&[]));
        assert_eq!(verdict.lost.runs(), [(2, 3), (6, 8)]);
        assert_eq!((verdict.lost.count(), verdict.gaps.count()), (5, 0));
        assert_eq!((verdict.duplicated, verdict.reordered), (vec![5], vec![4]));
    }

    #[test]
    fn a_gap_is_what_the_server_owned_up_to() {
        let mut heard = heard(&[0, 1]);
        heard.open_gap();
        heard.event(5); // between the server's join and its answer
        heard.open_gap(); // the answer was lost, and the connection again
        heard.close_gap(7);
        heard.event(8);
        let verdict = heard.judge(&published(&[]));
        assert_eq!(verdict.gaps.runs(), [(2, 4), (6, 6)]);
        assert_eq!(verdict.lost.runs(), [(7, 7), (9, 9)]);
        heard.open_gap();
        assert_eq!(heard.judge(&published(&[])).lost.runs(), [(7, 7)], "9 is in the open gap");
    }

    #[test]
    fn who_has_missed_nothing_has_no_gap() {
        let mut heard = heard(&[0]);
        heard.open_gap();
        heard.close_gap(1);
        assert_eq!(heard.judge(&published(&[])).gaps.count(), 0);
        assert!(heard.is_missing(&published(&[])));
    }

    #[test]
    fn what_nobody_answered_may_come_once_at_any_place() {
        let published = published(&[(3, Fate::Unsure), (4, Fate::Unsure), (5, Fate::Refused)]);
        let verdict = heard(&[0, 1, 2, 6, 3, 3, 7, 8, 9]).judge(&published);
        assert_eq!((verdict.expected, verdict.lost.count()), (7, 0));
        assert_eq!((verdict.duplicated, verdict.reordered), (vec![3], vec![]));
    }

    #[test]
    fn what_was_never_published_is_told() {
        let verdict = heard(&[0, u64::MAX, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).judge(&published(&[]));
        assert_eq!((verdict.invented, verdict.lost.count(), verdict.received), (2, 0, 12));
    }

    #[test]
    fn runs() {
        let ranges: Ranges = [3, 1, 2, 9, 2].into_iter().collect();
        assert_eq!((ranges.runs(), ranges.count()), (&[(1, 3), (9, 9)][..], 4));
    }
}

//! One target's run: the corpus first, then new inputs until the time is over or one fails.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::mutate;
use crate::random::Random;
use crate::target::Target;

/// What came of it.
pub(crate) struct Report {
    pub(crate) runs: u64,
    pub(crate) finding: Option<Finding>,
}

/// An input that broke a promise.
pub(crate) struct Finding {
    /// As small as it could be made.
    pub(crate) input: Vec<u8>,
    pub(crate) message: String,
}

/// One input of at most `mutate::MAX_LEN` bytes takes microseconds: one that takes this long is an attack.
const SLOW: Duration = Duration::from_secs(3);

/// The clock is asked once in so many runs.
const RUNS_PER_LOOK: u64 = 64;

/// Attempts to make a failing input smaller.
const SHRINKS: usize = 20_000;

/// Runs `target` over `corpus`, then for `time` over inputs made from it.
pub(crate) fn campaign(target: &Target, corpus: &[Vec<u8>], mut random: Random, time: Duration) -> Report {
    let mut runs = 0;
    for input in corpus {
        runs += 1;
        if let Err(message) = attempt(target, input) {
            return Report { runs, finding: Some(found(target, input, message)) };
        }
    }
    let end = Instant::now() + time;
    while !runs.is_multiple_of(RUNS_PER_LOOK) || Instant::now() < end {
        let input = mutate::input(&mut random, corpus, target.words);
        runs += 1;
        if let Err(message) = attempt(target, &input) {
            return Report { runs, finding: Some(found(target, &input, message)) };
        }
    }
    Report { runs, finding: None }
}

/// Runs one input. A panic, or taking too long, is an error with a message.
pub(crate) fn attempt(target: &Target, input: &[u8]) -> Result<(), String> {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = began.elapsed();
    match outcome {
        Err(_) => Err(PANIC.take().unwrap_or_else(|| "panicked".to_owned())),
        Ok(()) if took > SLOW => Err(format!("took {:.1} s", took.as_secs_f64())),
        Ok(()) => Ok(()),
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The panic hook: keeps the message for [`attempt`].
pub(crate) fn note_panic(message: String) {
    PANIC.set(Some(message));
}

fn found(target: &Target, input: &[u8], message: String) -> Finding {
    let input = if message.starts_with("took ") { input.to_vec() } else { shrink(target, input) };
    let message = attempt(target, &input).err().unwrap_or(message);
    Finding { input, message }
}

/// Leaves out pieces, large ones first, as long as the rest still fails.
fn shrink(target: &Target, input: &[u8]) -> Vec<u8> {
    let mut smallest = input.to_vec();
    let mut left = SHRINKS;
    let mut piece = smallest.len().div_ceil(2);
    while piece > 0 {
        let mut start = 0;
        let mut progress = false;
        while start < smallest.len() && left > 0 {
            left -= 1;
            let end = smallest.len().min(start + piece);
            let shorter = [&smallest[..start], &smallest[end..]].concat();
            if attempt(target, &shorter).is_err() {
                smallest = shorter;
                progress = true;
            } else {
                start += piece;
            }
        }
        if !progress || left == 0 {
            piece /= 2;
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails_on_ab(input: &[u8]) {
        assert!(!(input.contains(&b'a') && input.contains(&b'b')), "a and b");
    }

    const TARGET: Target = Target { name: "test", run: fails_on_ab, words: &[b"a", b"b"] };

    #[test]
    fn a_failing_corpus_entry_is_found_and_made_small() {
        let corpus = [b"xyz".to_vec(), b"xxxxaxxxxxxxbxxxx".to_vec()];
        let report = campaign(&TARGET, &corpus, Random::new(1), Duration::ZERO);
        assert_eq!(report.runs, 2);
        assert_eq!(report.finding.expect("a finding").input, b"ab");
    }

    #[test]
    fn mutations_find_a_failure() {
        let corpus = [b"a".to_vec(), b"x".to_vec()];
        let report = campaign(&TARGET, &corpus, Random::new(1), Duration::from_secs(60));
        let mut input = report.finding.expect("a finding").input;
        input.sort_unstable();
        assert_eq!(input, b"ab");
    }

    #[test]
    fn what_holds_is_no_finding() {
        let target = Target { name: "test", run: |_| {}, words: &[] };
        let report = campaign(&target, &[Vec::new()], Random::new(1), Duration::ZERO);
        assert!(report.finding.is_none() && report.runs >= 1);
    }
}

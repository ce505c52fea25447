//! What happens to the connections, and when: drawn by lot.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use super::dice::Dice;
use super::options::Options;
use super::receiver::Receiver;
use super::relay::Fault;

/// How many connections were broken, and how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Cuts {
    pub(crate) reset: u64,
    pub(crate) closed: u64,
    pub(crate) silent: u64,
    pub(crate) half_open: u64,
}

impl Cuts {
    fn count(&mut self, fault: Fault) {
        match fault {
            Fault::Reset => self.reset += 1,
            Fault::Close => self.closed += 1,
            Fault::Silence(_) => self.silent += 1,
            Fault::HalfOpen(_) => self.half_open += 1,
        }
    }

    pub(crate) fn sum(self) -> u64 {
        self.reset + self.closed + self.silent + self.half_open
    }
}

/// Cuts until it is dropped; counts in `cuts`.
pub(crate) async fn storm(receivers: &[Receiver], options: &Options, mut dice: Dice, cuts: &mut Cuts) {
    if options.cuts_per_second <= 0.0 {
        return std::future::pending().await;
    }
    loop {
        sleep(dice.pause(options.cuts_per_second)).await;
        let fault = fault(&mut dice, options.half_open, options.half_open_time);
        let hit = receivers.get(dice.below(receivers.len()));
        if hit.is_some_and(|receiver| receiver.relay.cut(fault)) {
            cuts.count(fault);
        }
    }
}

fn fault(dice: &mut Dice, half_open: f64, time: Duration) -> Fault {
    match (dice.share() < half_open, dice.below(2)) {
        (true, 0) => Fault::Silence(time),
        (true, _) => Fault::HalfOpen(time),
        (false, 0) => Fault::Reset,
        (false, _) => Fault::Close,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_in_its_share() {
        let (mut dice, mut cuts) = (Dice::new(3), Cuts::default());
        for _ in 0..10_000 {
            cuts.count(fault(&mut dice, 0.3, Duration::from_secs(1)));
        }
        assert_eq!(cuts.sum(), 10_000);
        for (count, expected) in
            [(cuts.reset, 3_500), (cuts.closed, 3_500), (cuts.silent, 1_500), (cuts.half_open, 1_500)]
        {
            assert!(count.abs_diff(expected) < 200, "{cuts:?}");
        }
        assert!(
            (0..100).all(|_| matches!(fault(&mut dice, 0.0, Duration::ZERO), Fault::Reset | Fault::Close))
        );
    }
}

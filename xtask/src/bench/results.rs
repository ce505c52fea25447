//! What `compare.py` wrote: for each scenario and server its runs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::step::Failure;

/// The results of one or several calls.
pub(crate) struct Results(Value);

impl Results {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        Self::parse(&text).map_err(|e| Failure::new(format!("{} is no JSON: {e}", path.display())))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }

    /// With the runs of another call, of other scenarios or other servers.
    pub(crate) fn with(mut self, other: &Self) -> Self {
        for (scenario, servers) in other.0["results"].as_object().into_iter().flatten() {
            for (server, runs) in servers.as_object().into_iter().flatten() {
                self.0["results"][scenario][server] = runs.clone();
            }
        }
        self
    }

    pub(crate) fn meta(&self, field: &str) -> &Value {
        &self.0["meta"][field]
    }

    pub(crate) fn runs(&self, scenario: &str, server: &str) -> &[Value] {
        self.0["results"][scenario][server].as_array().map_or(&[], Vec::as_slice)
    }

    /// Of all runs, in ascending order.
    pub(crate) fn values(&self, scenario: &str, server: &str, field: &str) -> Vec<f64> {
        let runs = self.runs(scenario, server).iter();
        let mut values: Vec<f64> = runs.filter_map(|run| run[field].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    pub(crate) fn least(&self, scenario: &str, server: &str, field: &str) -> Option<f64> {
        self.values(scenario, server, field).first().copied()
    }

    pub(crate) fn median(&self, scenario: &str, server: &str, field: &str) -> Option<f64> {
        let values = self.values(scenario, server, field);
        values.get(values.len() / 2).copied()
    }

    /// Server CPU in µs per message, delivery or connection.
    pub(crate) fn cpu(&self, scenario: &str, server: &str) -> Option<f64> {
        self.median(scenario, server, cpu_field(scenario))
    }

    /// Wrong or failed messages of all runs.
    pub(crate) fn bad(&self) -> u64 {
        self.all().filter_map(|run| run["bad"].as_u64()).sum()
    }

    /// Runs that gave no figures, because the server or the load generator failed.
    pub(crate) fn failed(&self) -> usize {
        self.all().filter(|run| run.get("failed").is_some()).count()
    }

    fn all(&self) -> impl Iterator<Item = &Value> {
        let scenarios = self.0["results"].as_object().into_iter().flat_map(|all| all.values());
        let runs = scenarios.filter_map(Value::as_object).flat_map(|servers| servers.values());
        runs.filter_map(Value::as_array).flatten()
    }
}

pub(crate) fn cpu_field(scenario: &str) -> &'static str {
    match scenario {
        "connect" => "srv_us_per_connect",
        fan if fan.starts_with("fan") => "srv_us_per_delivery",
        _ => "srv_us_per_msg",
    }
}

pub(crate) fn user_field(scenario: &str) -> &'static str {
    match scenario {
        "connect" => "srv_user_us_per_connect",
        fan if fan.starts_with("fan") => "srv_user_us_per_delivery",
        _ => "srv_user_us_per_msg",
    }
}

#[cfg(test)]
mod tests {
    use super::Results;

    #[test]
    fn runs_of_two_calls_come_together_and_failed_ones_are_counted() {
        let parse = |text| Results::parse(text).expect("JSON");
        let one =
            parse(r#"{"results":{"rtt":{"a":[{"x":3,"bad":1},{"x":1},{"failed":"timeout"},{"x":2}]}}}"#);
        let both = one.with(&parse(r#"{"results":{"rtt":{"b":[{"x":7}]},"idle10k":{"a":[{"bad":2}]}}}"#));
        assert_eq!(both.values("rtt", "a", "x"), [1.0, 2.0, 3.0]);
        assert_eq!(both.least("rtt", "a", "x"), Some(1.0));
        assert_eq!(both.median("rtt", "a", "x"), Some(2.0));
        assert_eq!(both.median("rtt", "b", "x"), Some(7.0));
        assert_eq!(both.median("rtt", "c", "x"), None);
        assert_eq!((both.bad(), both.failed()), (3, 1));
    }
}

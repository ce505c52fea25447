//! A goal beside what came, as a row of a table.

use std::fmt;

/// One row.
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) goal: String,
    pub(crate) came: String,
    pub(crate) met: bool,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met { "met" } else { "**missed**" };
        write!(f, "| {} | {} | {} | {verdict} |", self.scenario, self.goal, self.came)
    }
}

/// What the rows stand under.
pub(crate) const HEAD: &str = "| scenario | goal | came | |\n| --- | --- | --- | --- |";

/// Figures of rounds in turn.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Rounds {
    /// Median (least–greatest), the median alone if there is one round; two decimals unless said otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$}", self.median())?;
        match &self.0[..] {
            [least, .., greatest] => write!(f, " ({least:.digits$}–{greatest:.digits$})"),
            _ => Ok(()),
        }
    }
}

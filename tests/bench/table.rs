//! The one table: a row for each measurement, with its floor and what it must keep.

use std::fmt::Write as _;

/// One measurement.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) measured: String,
    /// What it is held against, measured in the same run.
    pub(crate) floor: String,
    /// The figure that is judged.
    pub(crate) figure: f64,
    pub(crate) unit: &'static str,
    pub(crate) limit: Limit,
}

/// What the figure must keep.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
    /// Shown, not judged.
    Open,
}

impl Row {
    /// Whether the figure keeps its limit.
    pub(crate) fn kept(&self) -> bool {
        match self.limit {
            Limit::AtLeast(bound) => self.figure >= bound,
            Limit::AtMost(bound) => self.figure <= bound,
            Limit::Open => true,
        }
    }

    fn judged(&self) -> [String; 3] {
        let with_unit = |value| format!("{} {}", number(value), self.unit).trim_end().to_owned();
        let limit = match self.limit {
            Limit::AtLeast(bound) => format!("at least {}", with_unit(bound)),
            Limit::AtMost(bound) => format!("at most {}", with_unit(bound)),
            Limit::Open => String::new(),
        };
        let kept = match (self.limit, self.kept()) {
            (Limit::Open, _) => "",
            (_, true) => "yes",
            (_, false) => "**no**",
        };
        [with_unit(self.figure), limit, kept.to_owned()]
    }
}

/// Two digits for what is small, none for what is not.
pub(crate) fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what | measured | floor of the same run | figure | limit | kept |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let [figure, limit, kept] = row.judged();
        let _ = writeln!(text, "| {} | {} | {} | {figure} | {limit} | {kept} |", row.what, row.measured, row.floor);
    }
    text
}

use jiff::{Timestamp, Unit};

/// The host's time, cut to whole milliseconds: what facts hold and what the wire shows are then the same.
pub fn now() -> Timestamp {
    cut(Timestamp::now())
}

/// `at`, cut to whole milliseconds.
fn cut(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or_else(|_| at.round(Unit::Second).unwrap_or(at))
}

/// A time as the wire shows it: RFC 3339, UTC, always three digits of milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn always_three_digits() {
        let at: jiff::Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        assert_eq!(super::rfc3339(at), "2026-01-05T10:00:00.000Z");
        let now = super::now();
        assert_eq!(super::rfc3339(now).parse::<jiff::Timestamp>().unwrap(), now);
    }
}

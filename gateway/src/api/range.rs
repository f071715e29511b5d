//! `Range` as RFC 9110 has it, one range of bytes.

use brizo_backend::ByteRange;

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The whole: no header, another unit, or several ranges, which a server may answer with the whole.
    Whole,
    /// One range.
    Part(ByteRange),
    /// `bytes=` and then no range.
    Garbage,
}

/// Reads a `Range` header's value.
pub(crate) fn parse(header: Option<&str>) -> Asked {
    let Some(header) = header else { return Asked::Whole };
    let Some((unit, ranges)) = header.split_once('=') else { return Asked::Garbage };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    if ranges.contains(',') {
        let all_good = ranges.split(',').all(|range| one(range).is_some());
        return if all_good { Asked::Whole } else { Asked::Garbage };
    }
    one(ranges).map_or(Asked::Garbage, Asked::Part)
}

fn one(range: &str) -> Option<ByteRange> {
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number past u64 is past every file too.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match range.trim().split_once('-')? {
        ("", suffix) => Some(ByteRange::Suffix(number(suffix)?)),
        (first, "") => Some(ByteRange::From { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::From { first, last: Some(last) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_garbage() {
        let part = |first, last| Asked::Part(ByteRange::From { first, last });
        assert_eq!(parse(None), Asked::Whole);
        assert_eq!(parse(Some("bytes=0-0")), part(0, Some(0)));
        assert_eq!(parse(Some("Bytes = 5-")), part(5, None));
        assert_eq!(parse(Some("bytes=-3")), Asked::Part(ByteRange::Suffix(3)));
        assert_eq!(parse(Some("bytes=0-1,5-6")), Asked::Whole);
        assert_eq!(parse(Some("lines=0-1")), Asked::Whole);
        assert_eq!(parse(Some("bytes=0-99999999999999999999")), part(0, Some(u64::MAX)));
        for garbage in
            ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=3-2", "bytes=1-2-3", "bytes=+1-2", "bytes=,"]
        {
            assert_eq!(parse(Some(garbage)), Asked::Garbage, "{garbage:?}");
        }
    }
}

//! Gives back the memory of code that has run.
//!
//! A shim is a copy of a large program, of which it uses little once the algorithm runs; but each page of code that was
//! executed on the way there stays counted as its own.

use std::fs;

/// Lets go of the pages of code that are mapped now. Those that are used again are mapped again.
pub(super) fn code() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(code_range) {
        let start = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: the range is a mapping of this process, private, of a file, executable and not writable: its pages are
        // the file's own, nothing was ever written to them, and the kernel maps the same ones again when they are used.
        // The code that runs here is among them.
        // A kernel that refuses keeps the pages.
        let _ = unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    }
}

/// The start and length of a line of maps that is the code of a file.
fn code_range(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, mode) = (words.next()?, words.next()?);
    let file = words.nth(3)?;
    if mode != "r-xp" || !file.starts_with('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    Some((start, usize::from_str_radix(end, 16).ok()?.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_let_go() {
        let code = "55d0c0a00000-55d0c0a10000 r-xp 00012000 fd:00 1234    /usr/bin/brizo";
        assert_eq!(code_range(code), Some((0x55d0_c0a0_0000, 0x10000)));
        for other in [
            "55d0c0a00000-55d0c0a10000 r--p 00012000 fd:00 1234    /usr/bin/brizo",
            "55d0c0a00000-55d0c0a10000 rw-p 00012000 fd:00 1234    /usr/bin/brizo",
            "7fff00000000-7fff00001000 r-xp 00000000 00:00 0       [vdso]",
            "7fff00000000-7fff00001000 r-xp 00000000 00:00 0",
        ] {
            assert_eq!(code_range(other), None, "{other}");
        }
        super::code();
        assert_eq!(code_range(code).map(|(_, length)| length), Some(0x10000), "and it goes on");
    }
}

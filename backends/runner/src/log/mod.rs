//! The log: what the algorithm wrote to stdout and stderr, byte for byte, in files that it can't reach.
//!
//! `stdout` and `stderr` hold the raw bytes, `index` says in which order, at what time and in which pieces they came.
//! [`LogWriter`] is the runner's, [`LogReader`] whoever shows it: another process, at the same time.

mod index;
mod reader;
mod writer;

pub use reader::{LogReader, log_totals};
pub use writer::LogWriter;

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";
const INDEX: &str = "index";

/// The most bytes of one piece.
pub(crate) const MAX_PIECE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use brizo_backend::LogStream::{self, Stderr, Stdout};

    use super::*;

    fn read(reader: &mut LogReader) -> Vec<(LogStream, u64, Vec<u8>)> {
        std::iter::from_fn(|| reader.next_chunk().unwrap())
            .map(|chunk| (chunk.stream, chunk.offset, chunk.bytes.to_vec()))
            .collect()
    }

    #[test]
    fn every_offset_of_every_selection_resumes_without_loss_or_repetition() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::create(dir.path()).unwrap();
        let written: [(LogStream, &[u8]); 5] =
            [(Stdout, b"ab"), (Stderr, b"\x80\xff\x00"), (Stdout, b"c"), (Stdout, b"defg"), (Stderr, b"h")];
        for (stream, bytes) in written {
            writer.append(stream, 1, bytes).unwrap();
        }
        for selected in [None, Some(Stdout), Some(Stderr)] {
            let whole: Vec<u8> = written
                .iter()
                .filter(|(stream, _)| selected.is_none_or(|selected| selected == *stream))
                .flat_map(|(_, bytes)| bytes.to_vec())
                .collect();
            for offset in 0..=whole.len() + 2 {
                let mut reader = LogReader::open(dir.path(), selected, offset as u64).unwrap().unwrap();
                let chunks = read(&mut reader);
                let got: Vec<u8> = chunks.iter().flat_map(|(_, _, bytes)| bytes.clone()).collect();
                assert_eq!(got, whole.get(offset..).unwrap_or_default(), "{selected:?} from {offset}");
                let mut at = offset as u64;
                for (_, offset, bytes) in chunks {
                    assert_eq!(offset, at);
                    at += bytes.len() as u64;
                }
            }
        }
        assert_eq!(log_totals(dir.path()).unwrap(), writer.totals());
    }

    #[test]
    fn a_reader_follows_a_writer_and_ignores_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LogReader::open(dir.path(), None, 0).unwrap().is_none(), "no log yet is no error");
        let mut writer = LogWriter::create(dir.path()).unwrap();
        let mut all = LogReader::open(dir.path(), None, 0).unwrap().unwrap();
        let mut later = LogReader::open(dir.path(), Some(Stdout), 3).unwrap().unwrap();
        assert_eq!(read(&mut all), []);
        assert_eq!(read(&mut later), [], "the offset lies past what there is");
        writer.append(Stdout, 1, b"12").unwrap();
        assert_eq!(read(&mut all), [(Stdout, 0, b"12".to_vec())]);
        assert_eq!(read(&mut later), []);
        // What a crash in the middle of a record leaves.
        std::io::Write::write_all(
            &mut std::fs::OpenOptions::new().append(true).open(dir.path().join(INDEX)).unwrap(),
            &[7; 9],
        )
        .unwrap();
        assert_eq!(read(&mut all), []);
        assert_eq!(log_totals(dir.path()).unwrap().stdout_bytes, 2);
    }

    #[test]
    fn a_piece_longer_than_the_longest_is_cut_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::create(dir.path()).unwrap();
        let long = vec![b'x'; MAX_PIECE * 2 + 5];
        writer.append(Stderr, 1, &long).unwrap();
        let mut reader = LogReader::open(dir.path(), None, 1).unwrap().unwrap();
        let chunks = read(&mut reader);
        assert!(chunks.iter().all(|(_, _, bytes)| bytes.len() <= MAX_PIECE));
        assert_eq!(chunks.iter().map(|(_, _, bytes)| bytes.len()).sum::<usize>(), long.len() - 1);
    }
}

//! Lines of a process, bounded: a process that never ends its line must not fill our memory.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end.
    Whole,
    /// As much as is allowed of a longer one; the rest follows.
    Cut,
    /// Nothing more. What was written without an end of line is no line.
    End,
}

/// Reads a line into `line`, which is emptied first.
pub(super) async fn next(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<Line> {
    line.clear();
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(Line::End);
        }
        let room = most.saturating_sub(line.len());
        let end = available.iter().position(|byte| *byte == b'\n');
        let length = end.unwrap_or(available.len());
        let taken = length.min(room);
        line.extend_from_slice(available.get(..taken).unwrap_or_default());
        if length > room {
            reader.consume(taken);
            return Ok(Line::Cut);
        }
        reader.consume(length + usize::from(end.is_some()));
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Line::Whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::BufReader;

    #[tokio::test]
    async fn lines_are_bounded() {
        for capacity in [1, 2, 3, 100] {
            let mut reader = BufReader::with_capacity(capacity, &b"abc\r\n\nabcde\nx\nhalf"[..]);
            let mut line = Vec::new();
            let mut seen = Vec::new();
            loop {
                let what = next(&mut reader, &mut line, 4).await.unwrap();
                seen.push((what, String::from_utf8(line.clone()).unwrap()));
                if what == Line::End {
                    break;
                }
            }
            let seen: Vec<_> = seen.iter().map(|(what, text)| (*what, text.as_str())).collect();
            assert_eq!(
                seen,
                [
                    (Line::Whole, "abc"),
                    (Line::Whole, ""),
                    (Line::Cut, "abcd"),
                    (Line::Whole, "e"),
                    (Line::Whole, "x"),
                    (Line::End, "half"),
                ]
            );
        }
    }
}

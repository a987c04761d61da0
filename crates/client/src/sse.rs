//! Server-sent events (WHATWG HTML §9.2), as much of them as MCP uses, from pieces of any size.

/// An event is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is too large")]
pub struct TooLarge;

/// Collects pieces and gives the data of whole events.
#[derive(Debug)]
pub struct EventReader {
    rest: Vec<u8>,
    data: Vec<u8>,
    is_message: bool,
    max: usize,
    after_return: bool,
    last_id: Option<String>,
}

/// Longest `id` of an event that is remembered, in bytes.
const MAX_ID: usize = 1024;

impl EventReader {
    /// `max` bounds one event.
    pub const fn new(max: usize) -> Self {
        Self { rest: Vec::new(), data: Vec::new(), is_message: true, max, after_return: false, last_id: None }
    }

    /// What `Last-Event-ID` says when the stream is taken up again; `None`: the stream has no ids.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Takes a piece and returns the data of the events that it completes. Comments and `retry` say nothing here, and
    /// events of another type than `message` are not MCP's.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, TooLarge> {
        let mut events = Vec::new();
        for &byte in piece {
            // A line ends with CR, LF or both.
            if byte == b'\n' && std::mem::take(&mut self.after_return) {
                continue;
            }
            self.after_return = byte == b'\r';
            if byte == b'\n' || byte == b'\r' {
                let line = std::mem::take(&mut self.rest);
                events.extend(self.line(&line));
            } else {
                self.rest.push(byte);
            }
            if self.rest.len().saturating_add(self.data.len()) > self.max {
                return Err(TooLarge);
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        if line.is_empty() {
            let mut data = std::mem::take(&mut self.data);
            data.pop();
            return (std::mem::replace(&mut self.is_message, true) && !data.is_empty()).then_some(data);
        }
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at_checked(at).unwrap_or((line, b""));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            // NUL is ignored by rule, and what no header can carry cannot be sent back.
            b"id" if value.len() <= MAX_ID && value.iter().all(|byte| (0x20..0x7f).contains(byte)) => {
                self.last_id = std::str::from_utf8(value).ok().filter(|id| !id.is_empty()).map(str::to_owned);
            }
            b"event" => self.is_message = value == b"message" || value.is_empty(),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(reader: &mut EventReader, piece: &[u8]) -> Vec<String> {
        reader.push(piece).unwrap().into_iter().map(|data| String::from_utf8(data).unwrap()).collect()
    }

    const STREAM: &[u8] = b"\xef\xbb\xbfid: 1\r\nretry: 5\r\ndata:\r\n\r\n: keep-alive\n\nevent: message\ndata: {\"a\":\ndata: 1}\n\n\
        event: endpoint\ndata: https://evil.example/\n\ndata: two\r\rdata\n\ndata: unfinished";

    #[test]
    fn events_of_every_spelling() {
        let mut reader = EventReader::new(1000);
        assert_eq!(reader.last_id(), None);
        assert_eq!(read(&mut reader, STREAM), ["{\"a\":\n1}", "two"]);
        assert_eq!(reader.last_id(), Some("1"));
        let mut reader = EventReader::new(5000);
        read(&mut reader, b"id: 1\n");
        for bad in ["id: a\u{1}b\n", "id: ä\n", &format!("id: {}\n", "x".repeat(1025))] {
            reader.push(bad.as_bytes()).unwrap();
            assert_eq!(reader.last_id(), Some("1"), "what no header carries is not remembered");
        }
    }

    #[test]
    fn an_endless_event_is_cut() {
        let mut reader = EventReader::new(1000);
        assert_eq!(reader.push(&b"data: x".repeat(1000)), Err(TooLarge));
        let mut reader = EventReader::new(1000);
        assert_eq!(reader.push(&b"data: x\n".repeat(1000)), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(sizes in proptest::collection::vec(1_usize..7, 0..200)) {
            let (mut reader, mut rest, mut found) = (EventReader::new(1000), STREAM, Vec::new());
            for size in sizes.into_iter().chain([STREAM.len()]) {
                let (piece, tail) = rest.split_at(size.min(rest.len()));
                found.extend(read(&mut reader, piece));
                rest = tail;
            }
            prop_assert_eq!(found, ["{\"a\":\n1}", "two"]);
        }
    }
}

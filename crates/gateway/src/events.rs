//! An event stream whose lists are filtered: read event by event, and written anew from what was read.

use crate::{
    handles::{self, Handles},
    lists,
    rules::{Rules, Viewer},
    stream::CutOff,
};
use bytes::{BufMut, Bytes, BytesMut};
use hallpass_core::{json, mcp::Message};
use std::sync::Arc;

/// Longest event, where the operator wants them no shorter.
const LONGEST: usize = 16 * 1024 * 1024;
const DEPTH: usize = 64;

/// One stream. Takes the bytes as they come and gives whole events.
pub(crate) struct EventFilter {
    /// Whose lists are filtered, by which rules.
    lists: Option<(Arc<Rules>, Viewer)>,
    handles: Option<Handles>,
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it belongs to the same end of line.
    after_return: bool,
    data: Option<Vec<u8>>,
    /// The other fields of the event, as they will be written.
    fields: BytesMut,
    longest: usize,
}

impl EventFilter {
    /// For these rules and this caller.
    pub(crate) fn new(rules: Arc<Rules>, viewer: Viewer) -> Self {
        Self { lists: Some((rules, viewer)), ..Self::plain() }
    }

    /// Filters nothing, and seals handles. What is no message passes.
    pub(crate) fn only_sealing(handles: Handles) -> Self {
        Self { handles: Some(handles), ..Self::plain() }
    }

    /// Seals handles too.
    pub(crate) fn sealing(self, handles: Handles) -> Self {
        Self { handles: Some(handles), ..self }
    }

    fn plain() -> Self {
        let (line, fields) = (Vec::new(), BytesMut::new());
        Self { lists: None, handles: None, line, after_return: false, data: None, fields, longest: LONGEST }
    }

    /// No event may be longer than this either.
    pub(crate) fn of_at_most(self, bytes: u64) -> Self {
        Self { longest: usize::try_from(bytes).unwrap_or(LONGEST).min(LONGEST), ..self }
    }

    /// Takes a piece, and gives what is complete with it: maybe nothing.
    ///
    /// # Errors
    /// What is too long or is no message is not passed on, and ends the stream.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<Bytes, CutOff> {
        let mut out = BytesMut::new();
        for part in piece.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
            let (text, end) = match part.split_last() {
                Some((end @ (b'\r' | b'\n'), text)) => (text, Some(*end)),
                _ => (part, None),
            };
            let second_half = self.after_return && text.is_empty() && end == Some(b'\n');
            self.after_return = end == Some(b'\r');
            if second_half {
                continue;
            }
            self.line.extend_from_slice(text);
            let held = self.line.len() + self.fields.len() + self.data.as_ref().map_or(0, Vec::len);
            if held > self.longest {
                return Err(CutOff::Event);
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                self.end_line(&line, &mut out)?;
            }
        }
        Ok(out.freeze())
    }

    fn end_line(&mut self, line: &[u8], out: &mut BytesMut) -> Result<(), CutOff> {
        if line.is_empty() {
            return self.end_event(out);
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => line.split_at_checked(at).unwrap_or((line, b"")),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if name == b"data" {
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        } else if matches!(name, b"" | b"id" | b"event" | b"retry") {
            // A comment keeps a connection open; any other field means nothing.
            self.fields.put_slice(name);
            self.fields.put_slice(b": ");
            self.fields.put_slice(value);
            self.fields.put_slice(b"\n");
        }
        Ok(())
    }

    /// The message of an event, as it is shown.
    fn shown(&self, data: &[u8]) -> Result<Vec<u8>, CutOff> {
        if self.lists.is_none() && !handles::may_have(data) {
            return Ok(as_lines(data));
        }
        let limits = json::Limits { bytes: LONGEST, depth: DEPTH };
        let message = match (Message::parse(data, limits), &self.lists) {
            (Ok(message), _) => message,
            // Whatever it is, no handle in it gets to a client as it is.
            (Err(_), None) if handles::names_one(data) => return Err(CutOff::Handle),
            (Err(_), None) => return Ok(as_lines(data)),
            (Err(_), Some(_)) => return Err(CutOff::Event),
        };
        let sealed = self.handles.as_ref().map(|handles| handles.sealed(&message)).transpose();
        let message = match sealed.map_err(|_| CutOff::Handle)?.flatten() {
            Some(sealed) => sealed,
            None if self.lists.is_none() => return Ok(as_lines(data)),
            None => message,
        };
        let lists = self.lists.as_ref();
        let shown = lists.and_then(|(rules, viewer)| lists::filtered(rules, &viewer.asker(), &message));
        Ok(shown.unwrap_or_else(|| message.to_canonical()))
    }

    fn end_event(&mut self, out: &mut BytesMut) -> Result<(), CutOff> {
        let fields = std::mem::take(&mut self.fields);
        let data = self.data.take();
        if fields.is_empty() && data.is_none() {
            return Ok(());
        }
        out.put_slice(&fields);
        if let Some(data) = data {
            out.put_slice(b"data: ");
            // An event without a message gives the client an id to resume from.
            if !data.is_empty() {
                out.put_slice(&self.shown(&data)?);
            }
            out.put_slice(b"\n");
        }
        out.put_slice(b"\n");
        Ok(())
    }
}

/// Several lines of data stay several lines.
fn as_lines(data: &[u8]) -> Vec<u8> {
    data.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\ndata: "[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Policy, Rule, Unlisted};
    use hallpass_core::scope::Scope;

    fn filter() -> EventFilter {
        let rule = Rule { tools: vec!["read_*".into()], ..Rule::default() };
        let policy = Policy { rules: vec![rule], unlisted: Unlisted::Deny, ..Policy::default() };
        EventFilter::new(Arc::new(Rules::new(Scope::none(), &policy)), Viewer::default())
    }

    const STREAM: &str = "id: 1\r\nretry: 5\r\ndata:\r\n\r\n: hi\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":1,\"result\":{\"tools\":[{\"name\":\"read_x\",\"z\":1.0,\"a\":2},{\"name\":\"drop\"},{}]}}\rid: 2\r\rdata: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\ndata: {\"half\":";

    #[test]
    fn rs_054_lists_are_filtered_on_any_stream_however_it_is_cut() {
        let expected = "id: 1\nretry: 5\ndata: \n\n: hi\n\nevent: message\nid: 2\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"read_x\",\"z\":1.0,\"a\":2}]}}\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n";
        for size in 1..STREAM.len() {
            let mut filter = filter();
            let pieces = STREAM.as_bytes().chunks(size).map(|piece| filter.take(piece).unwrap());
            let seen: Vec<u8> = pieces.flatten().collect();
            assert_eq!(String::from_utf8(seen).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_on_and_nothing_grows_without_bound() {
        assert!(filter().take(b"data: {\"id\":1,\"id\":2}\n\n").is_err());
        assert!(filter().take(b"data: <b>\n\n").is_err());
        for line in [
            &b"data: xxxxxxxxxxxxxxxxxxxxxxxx\n"[..],
            b"id: xxxxxxxxxxxxxxxxxxxx\n",
            b"xxxxxxxxxxxxxxxxxxxxxxxxx",
        ] {
            let (mut filter, piece) = (filter(), line.repeat(40_000));
            assert!((0..30).any(|_| filter.take(&piece).is_err()));
        }
        let mut filter = filter().of_at_most(1000);
        assert!(filter.take(&[&b": "[..], &[b'x'; 990], b"\n\n"].concat()).is_ok());
        assert!(filter.take(&[&b": "[..], &[b'x'; 1000], b"\n\n"].concat()).is_err());
    }
}

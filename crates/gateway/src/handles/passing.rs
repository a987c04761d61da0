//! Looks for handles in an answer that is too long to be read whole, as it passes: where they would be sealed in a shorter one, and
//! nowhere else. What a tool says of tasks or cursors, in a text or in members of its own, is no reason to cut it off.

use super::RESULT;

/// The names on the longest way to a handle, from the outermost object.
const DEEPEST: usize = 4;
/// Longer than each of them, so that what is cut here is none of them.
const LONGEST: usize = 40;

/// Where in the answer it is.
#[derive(Default)]
pub(crate) struct Passing {
    /// The member that each object around is at, the outermost first. A list is at `*`.
    at: Vec<Vec<u8>>,
    /// Objects and lists inside those.
    below: usize,
    /// The last text, as it is written. One with escapes is no name: then it is not sealed, and does not open either.
    text: Vec<u8>,
    within: Within,
}

#[derive(Clone, Copy, Default)]
enum Within {
    #[default]
    Nothing,
    Text,
    Escape,
}

impl Passing {
    /// Whether a handle begins in this piece. Of its value nothing has passed.
    pub(crate) fn finds(&mut self, piece: &[u8]) -> bool {
        piece.iter().any(|byte| self.is_at_handle(*byte))
    }

    fn is_at_handle(&mut self, byte: u8) -> bool {
        match (self.within, byte) {
            (Within::Escape, _) => {
                self.add(byte);
                self.within = Within::Text;
            }
            (Within::Text, b'"') => self.within = Within::Nothing,
            (Within::Text, _) => {
                self.add(byte);
                if byte == b'\\' {
                    self.within = Within::Escape;
                }
            }
            (Within::Nothing, b'"') => {
                self.text.clear();
                self.within = Within::Text;
            }
            (Within::Nothing, b'{') => self.open(b""),
            (Within::Nothing, b'[') => self.open(b"*"),
            (Within::Nothing, b'}' | b']') if self.below > 0 => self.below -= 1,
            (Within::Nothing, b'}' | b']') => drop(self.at.pop()),
            (Within::Nothing, b':') if self.below == 0 => {
                if let Some(name) = self.at.last_mut() {
                    name.clone_from(&self.text);
                }
                return self.is_place();
            }
            (Within::Nothing, _) => {}
        }
        false
    }

    fn add(&mut self, byte: u8) {
        if self.text.len() < LONGEST {
            self.text.push(byte);
        }
    }

    fn open(&mut self, at: &[u8]) {
        if self.below > 0 || self.at.len() == DEEPEST {
            self.below += 1;
        } else {
            self.at.push(at.to_vec());
        }
    }

    fn is_place(&self) -> bool {
        let Some((b"result", way)) = self.at.split_first().map(|(first, way)| (&**first, way)) else {
            return false;
        };
        RESULT.iter().any(|(_, path)| {
            path.len() == way.len() && path.iter().zip(way).all(|(step, name)| step.as_bytes() == name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str, size: usize) -> bool {
        let mut passing = Passing::default();
        text.as_bytes().chunks(size).any(|piece| passing.finds(piece))
    }

    #[test]
    fn rs_055_a_handle_is_found_where_it_would_be_sealed_however_the_answer_is_cut() {
        for with in [
            r#"{"result":{"content":[{"text":"\"taskId\" requestState"}],"requestState":"x"}}"#,
            r#" { "jsonrpc" : "2.0", "result" : { "nextCursor" : "x" } }"#,
            r#"{"result":{"a":{"taskId":[{"b":[]}]},"taskId":"x"},"id":1}"#,
            r#"{"id":{"a":{"b":{"c":{"d":{"e":1}}}}},"result":{"task":{"ttl":1,"taskId":"x"}}}"#,
            r#"{"result":{"tasks":[{"a":[[{}]]},{"status":"}]\\","taskId":"x"}]}}"#,
            r#"{"result":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"x"}}}}"#,
        ] {
            for size in 1..=with.len() {
                assert!(finds(with, size), "{size} {with}");
            }
            let mut passing = Passing::default();
            let at = with.as_bytes().iter().position(|byte| passing.finds(&[*byte])).unwrap();
            assert!(!with[..at].contains(r#""x""#), "its value has passed: {with}");
        }
        for without in [
            r#"{"result":{"content":[{"text":"\"taskId\": requestState"}],"cursor":"x","nextcursor":1}}"#,
            r#"{"result":{"content":[{"text":"taskId"},{"type":"text","text":"{\"taskId\":\"x\"}"}]}}"#,
            r#"{"result":{"structuredContent":{"taskId":"x","task":{"taskId":"x"},"nextCursor":"x"}}}"#,
            r#"{"result":{"tools":[{"inputSchema":{"properties":{"taskId":{}},"required":["taskId","requestState"]}}]}}"#,
            r#"{"result":{"task":["taskId"],"tasks":{"taskId":1},"a":["requestState"]}}"#,
            r#"{"result":{"a\"":{"\"":1}},"taskId":"x","error":{"requestState":"x"},"requestState":1}"#,
            r#"{"result":{"a":[{"b":{"c":{"result":{"taskId":1}}}}]}}"#,
        ] {
            for size in 1..=without.len() {
                assert!(!finds(without, size), "{size} {without}");
            }
        }
    }
}

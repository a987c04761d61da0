//! What a line of the log says of an event: its words, then `name=value`, a text in quotes.
//!
//! Every call through the gateway is a line, so this is written without detours: the library's own way was a fifth of the
//! instructions of a call. Nothing in a line acts on a terminal, and nothing ends it before its end: a
//! peer's words in it cannot look like a line of ours.

use std::fmt::{self, Debug, Display, Write};
use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// Writes the fields of events and spans.
pub struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, begun: false, outcome: Ok(()) };
        fields.record(&mut line);
        line.outcome
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    begun: bool,
    outcome: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, field: &Field, value: impl FnOnce(&mut Harmless<'_, '_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome = self.try_put(field.name(), value);
        }
    }

    fn try_put(
        &mut self,
        name: &str,
        value: impl FnOnce(&mut Harmless<'_, '_>) -> fmt::Result,
    ) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.writer.write_char(' ')?;
        }
        if name != "message" {
            self.writer.write_str(name.strip_prefix("r#").unwrap_or(name))?;
            self.writer.write_char('=')?;
        }
        value(&mut Harmless(&mut self.writer))
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, |out| write!(out, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, |out| {
            let quoted = |byte: u8| is_plain(byte) && byte != b'"' && byte != b'\\';
            if all(value, quoted) {
                out.0.write_char('"')?;
                out.0.write_str(value)?;
                out.0.write_char('"')
            } else {
                write!(out, "{value:?}")
            }
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |out| number(out, &value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |out| number(out, &value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, |out| number(out, &value));
    }
}

fn number(out: &mut Harmless<'_, '_>, value: &dyn Display) -> fmt::Result {
    write!(out.0, "{value}")
}

/// Escapes what acts (T-69).
struct Harmless<'line, 'writer>(&'line mut Writer<'writer>);

impl Write for Harmless<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if all(text, is_plain) {
            return self.0.write_str(text);
        }
        for c in text.chars() {
            if acts(c) {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Whether this is so of each byte. Nearly always it is, so none is looked at alone.
fn all(text: &str, is: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, byte| all & is(byte))
}

/// Whether a terminal does something with it instead of showing it: controls, and what turns text around or hides it.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io,
        sync::{Arc, Mutex, PoisonError},
    };

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .fmt_fields(Fields)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_says_its_words_and_each_field_by_its_name() {
        let line = written(|| {
            tracing::info!(
                server = %"demo",
                subject = "ann",
                grant = None::<&str>,
                name = Some("a \"b\" \\"),
                status = 200_u16,
                ms = 7_u128,
                less = -3,
                open = true,
                list = ?["x"],
                "call"
            );
        });
        assert_eq!(
            line,
            " INFO call server=demo subject=\"ann\" name=\"a \\\"b\\\" \\\\\" status=200 ms=7 less=-3 open=true list=[\"x\"]\n"
        );
    }

    #[test]
    fn t_69_nothing_in_a_line_steers_a_terminal_or_begins_another_line() {
        let told = "a\nINFO call subject=\"b\"\r\u{1b}[2J\u{9b}2J\u{7f}\u{202e}é";
        let error = io::Error::other(told);
        let error: &dyn std::error::Error = &error;
        let line = written(|| {
            tracing::warn!(shown = %told, quoted = told, debug = ?told, error, "{told}");
        });
        let (words, end) = line.split_at(line.len() - 1);
        assert_eq!(end, "\n");
        assert!(!words.chars().any(acts), "{words:?}");
        assert_eq!(words.matches("INFO call").count(), 5, "it is all there: {words}");
        assert_eq!(words.matches('é').count(), 5, "what is no danger is as it was");
    }
}

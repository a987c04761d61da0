//! Names that strangers chose, made harmless for a page.

use unicode_normalization::UnicodeNormalization;

/// Longest name shown, in characters.
const LONGEST: usize = 60;

/// A client's own name, without what could mislead: no control, direction or invisible characters, in one spelling (NFC),
/// bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Cleans a name. Nothing left means that the client has none.
    pub fn new(text: &str) -> Self {
        let visible: String = text
            .chars()
            .map(|c| if c.is_whitespace() { ' ' } else { c })
            .filter(|c| !is_hidden(*c))
            .nfc()
            .collect();
        let words: Vec<&str> = visible.split(' ').filter(|word| !word.is_empty()).collect();
        let joined = words.join(" ");
        let mut short: String = joined.chars().take(LONGEST).collect();
        if short.len() < joined.len() {
            short.push('…');
        }
        Self(short)
    }

    /// The text; empty when the client has no name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether nothing in this text is hidden.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(is_hidden)
}

/// Characters that are not seen but change what is seen: controls, direction marks and overrides, joiners, fillers,
/// variation selectors, tags, private use.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..='\u{E0FFF}'
            | '\u{F0000}'..='\u{10FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_098_t_11_what_misleads_is_taken_out() {
        for (text, shown) in [
            ("Claude", "Claude"),
            ("  Claude\n\t Code ", "Claude Code"),
            ("evil\u{202E}edualC", "eviledualC"),
            ("Cla\u{200B}ude\u{FEFF}", "Claude"),
            ("\u{0007}\u{001B}[31mred", "[31mred"),
            ("\u{E0041}\u{F000}x", "x"),
            ("\u{200B}", ""),
            ("Cafe\u{301}", "Caf\u{e9}"),
            ("Cafe\u{200B}\u{301}", "Caf\u{e9}"),
            ("\u{212B}", "\u{c5}"),
        ] {
            assert_eq!(DisplayName::new(text).as_str(), shown, "{text:?}");
        }
        assert_eq!(DisplayName::new(&"x".repeat(10_000)).as_str().chars().count(), LONGEST + 1);
    }
}

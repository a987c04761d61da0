//! What about a client's name or address could make a person take it for another, said in words on the consent page.
//!
//! Names are whatever strangers say; nothing here forbids one. Three tricks are worth a warning: letters of two alphabets in
//! one word (`Сlaude` with a Cyrillic С), a name that reads as an address, and a well-known client's name in front of
//! somebody else's address. Addresses that need the letters of other alphabets are shown in their plain form (`xn--…`)
//! and named as such (UTS #39 calls the first "mixed script").

use super::known;

/// One reason to look twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookAlike {
    /// Letters of several alphabets in one word of the name.
    MixedName,
    /// The name reads as an address, and it is not the one that gets the access.
    NameIsAddress,
    /// The name is a well-known client's, and the address is none of that client's.
    WellKnownName,
    /// The address uses letters of other alphabets.
    ForeignAddress,
}

impl LookAlike {
    /// For the page.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::MixedName => "This name mixes letters of several alphabets, as look-alike names do.",
            Self::NameIsAddress => {
                "This name looks like an address, but it is only a name. What counts is the address above."
            }
            Self::WellKnownName => {
                "A well-known application has this name, but this address is not known to be its own."
            }
            Self::ForeignAddress => {
                "This address uses letters of other alphabets, which can look like the ones you know. Read it letter by letter."
            }
        }
    }
}

/// Everything that is worth a warning about a client of this name whose access goes to `receiver`. `vouched` is the host of
/// the document that describes it. `local` is a program on the person's own device: it has no address to compare.
pub fn found(name: &str, receiver: &str, vouched: Option<&str>, local: bool) -> Vec<LookAlike> {
    let hosts = || [Some(receiver), vouched].into_iter().flatten();
    let mut all = Vec::new();
    if hosts().any(|host| host.split('.').any(|label| label.starts_with("xn--"))) {
        all.push(LookAlike::ForeignAddress);
    }
    if name.split(' ').any(is_mixed) {
        all.push(LookAlike::MixedName);
    }
    if name.split(' ').filter_map(address_in).any(|named| !hosts().any(|host| host == named)) {
        all.push(LookAlike::NameIsAddress);
    }
    let plain = skeleton(name);
    let is_disguised = plain != folded(name);
    let elsewhere = !local && !hosts().any(|host| known::is_host_of(&plain, host));
    if known::is_name(&plain) && (is_disguised || elsewhere) {
        all.push(LookAlike::WellKnownName);
    }
    all
}

/// The alphabets whose letters are taken for Latin ones, and Latin. Others are taken for no one's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
    Mathematical,
    Fullwidth,
}

const fn alphabet(c: char) -> Option<Alphabet> {
    match c {
        'a'..='z' | 'A'..='Z' | '\u{C0}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}' => Some(Alphabet::Latin),
        '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}' => Some(Alphabet::Greek),
        '\u{400}'..='\u{52F}'
        | '\u{1C80}'..='\u{1C8F}'
        | '\u{2DE0}'..='\u{2DFF}'
        | '\u{A640}'..='\u{A69F}' => Some(Alphabet::Cyrillic),
        '\u{531}'..='\u{58F}' => Some(Alphabet::Armenian),
        '\u{13A0}'..='\u{13FF}' | '\u{AB70}'..='\u{ABBF}' => Some(Alphabet::Cherokee),
        '\u{1D400}'..='\u{1D7FF}' | '\u{2100}'..='\u{214F}' => Some(Alphabet::Mathematical),
        '\u{FF01}'..='\u{FF5E}' => Some(Alphabet::Fullwidth),
        _ => None,
    }
}

fn is_mixed(word: &str) -> bool {
    let mut alphabets = word.chars().filter_map(alphabet);
    alphabets.next().is_some_and(|first| alphabets.any(|other| other != first))
}

/// The host in a word that reads as an address: `claude.ai`, `https://claude.ai/x`.
fn address_in(word: &str) -> Option<String> {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let rest = word.split_once("://").map_or(word.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', ':', '?', '#']).next()?;
    let (_, last) = host.rsplit_once('.')?;
    let is_ending = (2..=24).contains(&last.len()) && last.chars().all(char::is_alphabetic);
    let labels = host.split('.').all(|label| !label.is_empty() && label.chars().all(is_of_host));
    // `node.js` and `v1.2` are names, not addresses; an ending of a file is none of the network either.
    let is_file = matches!(last, "js" | "ts" | "py" | "rs" | "md" | "json" | "exe");
    (is_ending && labels && !is_file).then(|| host.to_owned())
}

fn is_of_host(c: char) -> bool {
    c.is_alphanumeric() || c == '-'
}

/// Without what does not make another name: case, spaces, marks between words.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What the name looks like in plain letters: each letter as the Latin one that it is taken for (UTS #39 §4, the part of it
/// that names of well-known clients need).
fn skeleton(name: &str) -> String {
    folded(name).chars().map(plain).collect()
}

const fn plain(c: char) -> char {
    match c {
        'а' | 'α' | 'ａ' | 'à' | 'á' | 'â' | 'ä' | 'å' => 'a',
        'ь' | 'Ь' | 'ｂ' => 'b',
        'с' | 'ϲ' | 'ⅽ' | 'ｃ' | 'ç' => 'c',
        'ԁ' | 'ⅾ' | 'ｄ' => 'd',
        'е' | 'ε' | 'ｅ' | 'é' | 'è' | 'ë' | 'ê' | 'є' => 'e',
        'ɡ' | 'ｇ' => 'g',
        'һ' | 'ｈ' => 'h',
        'і' | 'ι' | 'ｉ' | 'í' | 'ì' | 'ï' | 'ı' => 'i',
        'ј' | 'ｊ' => 'j',
        'κ' | 'к' | 'ｋ' => 'k',
        'ӏ' | 'ⅼ' | 'ｌ' | '1' | '|' => 'l',
        'м' | 'ｍ' => 'm',
        'ո' | 'ｎ' | 'η' => 'n',
        'о' | 'ο' | 'օ' | 'ｏ' | '0' | 'ö' | 'ó' | 'ò' => 'o',
        'р' | 'ρ' | 'ｐ' => 'p',
        'ԛ' | 'ｑ' => 'q',
        'г' | 'ｒ' => 'r',
        'ѕ' | 'ｓ' | '5' => 's',
        'т' | 'τ' | 'ｔ' => 't',
        'υ' | 'ս' | 'ｕ' | 'ü' | 'ú' => 'u',
        'ν' | 'ѵ' | 'ｖ' => 'v',
        'ѡ' | 'ｗ' => 'w',
        'х' | 'χ' | 'ｘ' => 'x',
        'у' | 'γ' | 'ｙ' => 'y',
        'ｚ' => 'z',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LookAlike::*;

    #[test]
    fn as_098_t_11_names_that_are_taken_for_others_are_told() {
        for (name, receiver, expected) in [
            ("Notes", "notes.example", vec![]),
            ("Сlaude", "evil.example", vec![MixedName, WellKnownName]),
            ("Ｃlaude", "evil.example", vec![MixedName, WellKnownName]),
            ("C1aude", "evil.example", vec![WellKnownName]),
            ("Claude", "evil.example", vec![WellKnownName]),
            ("Claude", "claude.ai", vec![]),
            ("CLAUDE", "claude.com", vec![]),
            ("ChatGPT", "chatgpt.com", vec![]),
            ("chat gpt", "chatgpt.com.evil.example", vec![WellKnownName]),
            ("claude.ai", "evil.example", vec![NameIsAddress]),
            ("https://claude.ai/login", "evil.example", vec![NameIsAddress]),
            ("evil.example", "evil.example", vec![]),
            ("Notes by claude.ai", "notes.example", vec![NameIsAddress]),
            ("Node.js agent v1.2", "notes.example", vec![]),
            ("Заметки", "notes.example", vec![]),
            ("メモ app", "notes.example", vec![]),
            ("Müller Café", "notes.example", vec![]),
            ("", "xn--80ak6aa92e.com", vec![ForeignAddress]),
            ("Notes", "mail.xn--80ak6aa92e.com", vec![ForeignAddress]),
        ] {
            assert_eq!(found(name, receiver, None, false), expected, "{name:?} at {receiver}");
        }
    }

    #[test]
    fn as_098_a_program_of_the_persons_own_has_its_name_unless_it_is_disguised() {
        assert_eq!(found("Claude Code", "localhost:3118", None, true), []);
        assert_eq!(found("Сlaude Code", "localhost:3118", None, true), [MixedName, WellKnownName]);
        assert_eq!(found("Visual Studio Code", "127.0.0.1:33418", Some("vscode.dev"), true), []);
    }

    #[test]
    fn as_098_a_document_vouches_for_its_own_host() {
        assert_eq!(found("Claude", "somewhere.example", Some("claude.ai"), false), []);
        assert_eq!(found("Claude", "claude.ai.evil.example", Some("evil.example"), false), [WellKnownName]);
    }
}

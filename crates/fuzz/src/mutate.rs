//! Mutations that repeat: the same number gives the same bytes.

/// Pieces that mean something to a parser of this field.
const PIECES: [&[u8]; 48] = [
    b"&",
    b"=",
    b"%",
    b"%00",
    b"%2",
    b"%zz",
    b"%c3%28",
    b"+",
    b" ",
    b"\t",
    b"\r\n",
    b"\n",
    b"\0",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\u017f",
    b"'",
    b",",
    b";",
    b":",
    b"/",
    b"//",
    b"/../",
    b"@",
    b"#",
    b"?",
    b"[",
    b"]",
    b"{",
    b"}",
    b"[]",
    b"{}",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"0.1",
    b"9223372036854775808",
    b".",
    b"..",
    b"localhost",
    b"127.0.0.1",
    b"[::1]",
    b"\xff",
    b"\xc3\xa9",
    b"\xef\xbb\xbf",
];
/// Longest input that is made.
const LONGEST: usize = 4096;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 where there is nothing below it.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// One to six changes of one of these inputs.
pub fn mutated(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(6) {
        let other = &corpus[dice.below(corpus.len())];
        change(dice, &mut bytes, other);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = dice.below(bytes.len() + 1);
    let some = at + dice.below((bytes.len() - at).min(16) + 1);
    match dice.below(9) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.byte();
            }
        }
        2 => bytes.insert(at, dice.byte()),
        3 | 4 => {
            let piece = PIECES[dice.below(PIECES.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        5 => {
            bytes.drain(at..some);
        }
        6 => {
            let again = bytes[at..some].to_vec();
            bytes.splice(at..at, again);
        }
        7 => {
            let from = dice.below(other.len() + 1);
            let to = from + dice.below(other.len() - from + 1);
            bytes.splice(at..some, other[from..to].iter().copied());
        }
        _ => bytes.truncate(at),
    }
}

//! Signing, by the right key or another, and what is done to the text afterwards.

use super::{Case, Draft, encoded, keys::Keys, pick};
use crate::mutate::Dice;
use aws_lc_rs::hmac;
use hallpass_core::{
    encoding::{base64url, from_base64url},
    jose::{Algorithm, SigningKey},
};

/// The order of the group of P-256.
const P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// The order of the group of Ed25519, the last byte first.
const ED25519: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Signs what was drafted; where `badly`, something is wrong with that.
pub fn signed(dice: &mut Dice, keys: &Keys, draft: Draft, badly: bool) -> Case {
    let key = keys.key(draft.signer);
    let good = encoded(&draft.header, &draft.payload);
    let (text, done) = if badly {
        match dice.below(3) {
            0 => by_another(dice, keys, draft.signer, &good),
            1 => changed(dice, &with(key, &good)),
            _ => respelt(dice, key, &draft.header, &draft.payload),
        }
    } else {
        (with(key, &good), String::new())
    };
    let what = if done.is_empty() { draft.what } else { format!("{} {done}", draft.what) };
    Case { what: what.trim().to_owned(), text, exact: draft.exact }
}

fn with(key: &SigningKey, signed: &str) -> String {
    join(signed, &key.sign_bytes(signed.as_bytes()).expect("a signature"))
}

fn join(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", base64url(signature))
}

/// Signed with a key that is not the one of the header, or with no key at all.
fn by_another(dice: &mut Dice, keys: &Keys, signer: usize, good: &str) -> (String, String) {
    match dice.below(4) {
        0 => (with(keys.attackers(signer), good), "signed by the attacker".into()),
        1 => {
            let other = (signer + 1) % 4;
            (with(keys.key(other), good), format!("signed with key {other}"))
        }
        2 => {
            // A public key is no secret: whoever takes the algorithm from the header takes this (T-40).
            let (header, payload) = good.split_once('.').expect("two parts");
            let header = from_base64url(header).expect("base64url");
            let header = String::from_utf8(header).expect("text").replace(keys.name(signer), "HS256");
            let secret = keys.key(signer).public_jwk().to_json().to_string();
            let text = format!("{}.{payload}", base64url(header.as_bytes()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes());
            (join(&text, tag.as_ref()), "the public key as a secret".into())
        }
        _ => (format!("{good}."), "no signature".into()),
    }
}

/// Another text, or another signature.
fn changed(dice: &mut Dice, good: &str) -> (String, String) {
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let mut bytes = from_base64url(signature).expect("base64url");
    match dice.below(9) {
        0 | 1 => {
            let at = dice.below(good.len());
            let mut text = good.as_bytes().to_vec();
            text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            (String::from_utf8(text).expect("ASCII"), "a character changed".into())
        }
        2 => (good[..dice.below(good.len())].to_owned(), "cut off".into()),
        3 => (format!("{good}.{signature}"), "a fourth part".into()),
        4 => {
            bytes.push(0);
            (join(signed, &bytes), "a byte more".into())
        }
        5 => {
            bytes.fill(pick(dice, &[0, 1, 0xff]));
            (join(signed, &bytes), "numbers without meaning".into())
        }
        6 if bytes.len() == 64 => {
            let der = [&[0x30, 70, 2, 33, 0][..], &bytes[..32], &[2, 33, 0], &bytes[32..]].concat();
            (join(signed, &der), "the numbers as DER".into())
        }
        _ if bytes.len() == 64 => {
            // As good as the first where the curve is P-256, refused by RFC 8032 §5.1.7 where it is Ed25519.
            if is_ed25519(signed) {
                add_order(&mut bytes[32..]);
                (join(signed, &bytes), "the other signature of Ed25519".into())
            } else {
                negate(&mut bytes[32..]);
                (join(signed, &bytes), "the other signature of P-256".into())
            }
        }
        _ => {
            bytes.reverse();
            (join(signed, &bytes), "backwards".into())
        }
    }
}

fn is_ed25519(signed: &str) -> bool {
    let header = from_base64url(signed.split('.').next().unwrap_or_default()).unwrap_or_default();
    String::from_utf8_lossy(&header).contains(Algorithm::EdDsa.name())
}

/// `n - s`.
fn negate(s: &mut [u8]) {
    let mut borrow = 0;
    for (digit, order) in s.iter_mut().zip(P256).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256).to_le_bytes()[0];
    }
}

/// `S + L`.
fn add_order(s: &mut [u8]) {
    let mut carry = 0;
    for (digit, order) in s.iter_mut().zip(ED25519) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        carry = sum >> 8;
        *digit = sum.to_le_bytes()[0];
    }
}

/// How a part is written.
type Spelling = fn(&str) -> String;

/// A part in another spelling. Header and payload are signed as they are spelt; a signature can be respelt by anybody.
fn respelt(dice: &mut Dice, key: &SigningKey, header: &str, payload: &str) -> (String, String) {
    let part = dice.below(3);
    let spellings: [(&str, Spelling); 7] = [
        ("with padding", padded),
        ("with a line break", |text| format!("{text}\n")),
        ("with a space inside", |text| format!("{} {}", &text[..4], &text[4..])),
        ("in the other alphabet", |text| format!("{text}++//")),
        ("with spare bits", spare_bits),
        ("with a character that is none", |text| format!("{text}!")),
        ("percent-encoded", |text| format!("{text}%3D")),
    ];
    let (name, spell) = pick(dice, &spellings);
    let mut parts = [base64url(header.as_bytes()), base64url(payload.as_bytes())];
    if part < 2 {
        parts[part] = spell(&parts[part]);
    }
    let signed = parts.join(".");
    let text = with(key, &signed);
    let text = match text.rsplit_once('.') {
        Some((signed, signature)) if part == 2 => format!("{signed}.{}", spell(signature)),
        Some(_) | None => text,
    };
    (text, format!("{} {name}", ["header", "payload", "signature"][part]))
}

fn padded(text: &str) -> String {
    let padding = "=".repeat((4 - text.len() % 4) % 4);
    format!("{text}{}", if padding.is_empty() { "====" } else { &padding })
}

/// The last character has bits that say nothing, unless the length is a multiple of four.
fn spare_bits(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = text.bytes().last().unwrap_or(b'A');
    let at = ALPHABET.iter().position(|letter| *letter == last).unwrap_or(0);
    let other = char::from(ALPHABET[(at + 1) % 64]);
    format!("{}{other}", &text[..text.len() - 1])
}

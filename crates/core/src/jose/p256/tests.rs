use super::*;
use crate::jose::{Algorithm, SigningKey};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

fn a_key() -> (EcdsaKeyPair, Arc<Key>) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let key = Key::new(point[1..33].try_into().unwrap(), point[33..].try_into().unwrap()).unwrap();
    (pair, key)
}

fn sign(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    pair.sign(&aws_lc_rs::rand::SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

fn prepared() -> (EcdsaKeyPair, Arc<Key>) {
    let (pair, key) = a_key();
    key.prepare(b"first", &sign(&pair, b"first"));
    assert!(key.table().is_some());
    (pair, key)
}

/// Both verdicts, which have to be the same where the table has one.
fn both(key: &Key, message: &[u8], signature: &[u8]) -> (Option<bool>, bool) {
    let ours = verdict(key.table().unwrap(), message, signature);
    let library = key.library_verifies(message, signature);
    assert!(ours.is_none_or(|ours| ours == library), "{message:?} {signature:?}");
    (ours, library)
}

#[test]
fn rs_030_t_46_a_table_finds_good_what_the_library_finds_good_and_nothing_else() {
    let (pair, key) = prepared();
    let (_, other) = prepared();
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let (mut good, mut bad) = (0, 0);
    let mut check = |key: &Key, message: &[u8], signature: &[u8], expected: bool| {
        let (ours, library) = both(key, message, signature);
        assert_eq!(library, expected, "{message:?} {signature:?}");
        // What is well-formed is never left to the library.
        let half = |at: usize| <[u8; 32]>::try_from(&signature[at..at + 32]).unwrap();
        let well_formed =
            signature.len() == 64 && [half(0), half(32)].iter().all(|half| *half != [0; 32] && *half < order);
        assert_eq!(ours.is_some(), well_formed, "{signature:?}");
        if ours == Some(true) { good += 1 } else { bad += 1 }
    };
    for number in 0_u32..1_000 {
        let message = number.to_be_bytes();
        let signature = sign(&pair, &message);
        check(&key, &message, &signature, true);
        check(&other, &message, &signature, false);
        // (r, n - s) is the same signature written differently.
        let mirrored = [&signature[..32], &minus(&order, &signature[32..])].concat();
        check(&key, &message, &mirrored, true);
        check(&key, b"another", &signature, false);
        let mut flipped = signature.clone();
        flipped[usize::try_from(number % 64).unwrap()] ^= 1 << (number / 64 % 8);
        check(&key, &message, &flipped, false);
        check(&key, &message, &[&signature[32..], &signature[..32]].concat(), false);
        for special in [[0; 32], order, minus(&order, &one()).try_into().unwrap(), one(), [0xff; 32]] {
            check(&key, &message, &[&special[..], &signature[32..]].concat(), false);
            check(&key, &message, &[&signature[..32], &special[..]].concat(), false);
        }
        check(&key, &message, &[&signature[..], &[0]].concat(), false);
    }
    assert_eq!((good, bad), (2_000, 15_000));
}

fn hex(text: &str) -> [u8; 32] {
    let digits: Vec<u8> =
        text.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().unwrap()
}

fn one() -> [u8; 32] {
    let mut one = [0; 32];
    one[31] = 1;
    one
}

/// The difference of two numbers of 32 bytes, most significant first.
fn minus(from: &[u8], number: &[u8]) -> Vec<u8> {
    let mut borrow = 0_i16;
    let mut out: Vec<u8> = from
        .iter()
        .zip(number)
        .rev()
        .map(|(from, number)| {
            let difference = i16::from(*from) - i16::from(*number) - borrow;
            borrow = i16::from(difference < 0);
            u8::try_from(difference.rem_euclid(256)).unwrap()
        })
        .collect();
    out.reverse();
    out
}

/// The library's own multiple of the base point.
fn library_multiple(scalar: &[u8; 32]) -> point::Affine {
    use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
    let public = PrivateKey::from_private_key(&ECDH_P256, scalar).unwrap().compute_public_key().unwrap();
    let bytes = public.as_ref();
    table::point(bytes[1..33].try_into().unwrap(), bytes[33..].try_into().unwrap()).unwrap()
}

fn terms(table: &Table, scalar: &[u8; 32]) -> Vec<point::Affine> {
    let mut terms = Vec::new();
    table.terms(Scalar::of_signature(scalar).unwrap(), &mut terms).unwrap();
    terms
}

fn same(one: point::Affine, other: point::Affine) -> bool {
    (one.x - other.x).is_zero() && (one.y - other.y).is_zero()
}

#[test]
fn multiples_are_the_librarys_for_every_width_and_at_every_edge() {
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut scalars = vec![one(), minus(&order, &one()).try_into().unwrap()];
    for bit in 0..255 {
        // 2^bit, and as many ones, which is carried through all rows.
        let (mut power, mut ones) = ([0; 32], [0; 32]);
        power[31 - bit / 8] = 1 << (bit % 8);
        ones[32 - bit / 8..].fill(0xff);
        ones[31 - bit / 8] |= u8::MAX >> (7 - bit % 8);
        scalars.extend([power, ones]);
    }
    for _ in 0..50 {
        scalars.push(crate::entropy::random(&crate::entropy::SystemEntropy));
    }
    scalars.retain(|scalar| *scalar < order);
    for width in 1..=9 {
        let [x, y] = &BASE;
        let table = Table::new(table::point(x, y).unwrap(), width).unwrap();
        for scalar in &scalars {
            let sum = table::sum(&terms(&table, scalar)).unwrap();
            let multiple = point::Sum::normalised(&[sum]).unwrap()[0];
            assert!(same(multiple, library_multiple(scalar)), "{width} {scalar:?}");
            assert!(sum.has_x(multiple.x) && !sum.has_x(multiple.y));
        }
    }
}

#[test]
fn what_the_formulas_cannot_add_has_no_sum() {
    let [x, y] = &BASE;
    let base = table::point(x, y).unwrap();
    let twice = point::Sum::from(base).doubled();
    let double = point::Sum::normalised(&[twice]).unwrap()[0];
    for (sum, point) in
        [(point::Sum::from(base), base), (point::Sum::from(base), base.negated()), (twice, double)]
    {
        assert!(sum.add(point).is_none());
    }
    assert!(twice.add(base).is_some());
    // A key that is the base point itself: for equal factors the table has no answer, and the library decides.
    let table = Table::new(base, KEY_WIDTH).unwrap();
    let twice = [terms(super::base().unwrap(), &one()), terms(&table, &one())].concat();
    assert!(twice.len() == 2 && table::sum(&twice).is_none());
    assert!(table::sum(&[]).is_none());
}

#[test]
fn a_number_of_a_signature_is_from_one_to_the_order() {
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let prime = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    for bad in [[0; 32], order, [0xff; 32]] {
        assert!(Scalar::of_signature(&bad).is_none());
    }
    assert!(Field::from_be_bytes(&prime).is_none() && Field::from_be_bytes(&[0xff; 32]).is_none());
    assert!(Field::from_be_bytes(&minus(&prime, &one()).try_into().unwrap()).is_some());
    // A digest is reduced: n is zero, and the largest is what is left above n.
    let reduced = |digest: &[u8; 32]| {
        let mut bytes = Scalar::of_digest(digest).to_le_bytes();
        bytes.reverse();
        Vec::from(bytes)
    };
    assert_eq!(reduced(&order), [0; 32]);
    assert_eq!(reduced(&[0xff; 32]), minus(&[0xff; 32], &order));
    assert_eq!(reduced(&one()), one());
    // x = r + n is a coordinate only while it is below the prime.
    let lost: [u8; 32] = minus(&prime, &order).try_into().unwrap();
    let below: [u8; 32] = minus(&lost, &one()).try_into().unwrap();
    let second = |r| Scalar::of_signature(r).unwrap().coordinates()[1];
    assert_eq!(second(&lost), None);
    assert_eq!(second(&below).map(Vec::from), Some(minus(&prime, &one())));
}

#[test]
fn a_key_gets_its_table_by_use_and_keeps_it_in_a_flood_of_others() {
    let (pair, key) = a_key();
    for number in 0_u32..USES {
        assert!(key.table().is_none(), "{number}");
        assert!(!key.verifies(b"other", &sign(&pair, b"message")), "what is bad does not count");
        assert!(key.verifies(b"message", &sign(&pair, b"message")));
    }
    assert!(key.table().is_some());
    assert!(key.verifies(b"message", &sign(&pair, b"message")));
    assert!(!key.verifies(b"other", &sign(&pair, b"message")));
    let again = || Key::new(&key.x, &key.y).unwrap();
    assert!(Arc::ptr_eq(&again(), &key));
    for _ in 0..200 {
        let (_, stranger) = a_key();
        assert!(Arc::ptr_eq(&Key::new(&stranger.x, &stranger.y).unwrap(), &stranger), "remembered at once");
    }
    assert!(Arc::ptr_eq(&again(), &key), "displaced by keys without a table");
    // Off the curve: refused each time, remembered never.
    let mut y = key.y;
    y[31] ^= 1;
    assert!(Key::new(&key.x, &y).is_none() && Key::new(&key.x, &y).is_none());
}

#[test]
fn a_table_that_is_wrong_is_not_used() {
    let (pair, key) = a_key();
    let (other, _) = a_key();
    // As if the library had found good what this key never signed: `prepare` has to notice.
    key.prepare(b"message", &sign(&other, b"message"));
    assert!(!key.is_prepared());
    assert!(key.verifies(b"message", &sign(&pair, b"message")));
}

#[test]
fn keys_of_a_set_share_their_table() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let message = b"message";
    let signature = key.sign_bytes(message).unwrap();
    for _ in 0..=USES {
        assert!(key.verifying_key().verifies(message, &signature));
    }
    let read = crate::jose::Jwk::parse(&key.public_jwk().to_json()).unwrap();
    assert!(read.verifying_key().is_prepared() && key.verifying_key().is_prepared());
}

//! Multiples of one point, so that a product with it is a few dozen additions and not a doubling for each bit.

use super::{
    field::Field,
    point::{Affine, Sum},
    scalar::Scalar,
};

/// For each window of `width` bits of a scalar, the multiples 1 to 2^(width-1) of the point at that place.
pub(super) struct Table {
    width: u16,
    multiples: Vec<Affine>,
}

impl Table {
    /// Of a point of the curve; `width` is 1 to 9. The width trades memory for additions.
    pub(super) fn new(point: Affine, width: u16) -> Option<Self> {
        let rows = 256 / usize::from(width) + 1;
        let mut places = Vec::with_capacity(rows);
        let mut place = Sum::from(point);
        for _ in 0..rows {
            places.push(place);
            for _ in 0..width {
                place = place.doubled();
            }
        }
        let per_row = 1_usize << (width - 1);
        let mut multiples = Vec::with_capacity(rows * per_row);
        let mut row = Vec::with_capacity(per_row);
        for first in Sum::normalised(&places)? {
            row.clear();
            row.push(Sum::from(first));
            let mut next = Sum::from(first).doubled();
            while row.len() < per_row {
                row.push(next);
                next = next.add(first)?;
            }
            multiples.extend(Sum::normalised(&row)?);
        }
        Some(Self { width, multiples })
    }

    /// Appends to `terms` the multiples whose sum is `scalar` times the point, at most one for each window.
    pub(super) fn terms(&self, scalar: Scalar, terms: &mut Vec<Affine>) -> Option<()> {
        let (half, mask) = (1_u16 << (self.width - 1), (1_u16 << self.width) - 1);
        let mut bytes = [0; 34];
        bytes.iter_mut().zip(scalar.to_le_bytes()).for_each(|(to, from)| *to = from);
        let (mut bit, mut carry) = (0_usize, 0_u16);
        for row in self.multiples.chunks_exact(usize::from(half)) {
            let word = u16::from_le_bytes(*bytes.get(bit / 8..)?.first_chunk()?);
            let digit = (word >> (bit % 8) & mask) + carry;
            bit += usize::from(self.width);
            // A digit above the half is the negative rest, and one more in the next row.
            carry = u16::from(digit > half);
            let at = usize::from(if carry == 1 { mask + 1 - digit } else { digit });
            if let Some(at) = at.checked_sub(1) {
                let point = *row.get(at)?;
                terms.push(if carry == 1 { point.negated() } else { point });
            }
        }
        // The top row has fewer bits than its width, so that nothing is ever carried out of it.
        (carry == 0).then_some(())
    }
}

/// The sum of all; nothing for none, and where [`Sum::add`] has no answer.
pub(super) fn sum(terms: &[Affine]) -> Option<Sum> {
    let (first, rest) = terms.split_first()?;
    rest.iter().try_fold(Sum::from(*first), |sum, point| sum.add(*point))
}

/// A point from its coordinates, which the caller knows to be on the curve.
pub(super) fn point(x: &[u8; 32], y: &[u8; 32]) -> Option<Affine> {
    Some(Affine { x: Field::from_be_bytes(x)?, y: Field::from_be_bytes(y)? })
}

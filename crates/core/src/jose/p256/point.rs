//! Points of P-256, added by formulas that leave out the cases in which they would be wrong: those answer nothing.
//!
//! An accumulator is (X, Y, ZZ, ZZZ) with x = X/ZZ, y = Y/ZZZ and ZZ³ = ZZZ², the formulas are *madd-2008-s* and *dbl-2008-s-1* of
//! the Explicit-Formulas Database (short Weierstrass curves, XYZZ coordinates). Nothing here is secret, so nothing runs in
//! constant time.

use super::field::Field;

/// A point with its two coordinates; never the neutral one.
#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub(super) x: Field,
    pub(super) y: Field,
}

impl Affine {
    /// The same x, the other y.
    pub(super) fn negated(self) -> Self {
        Self { x: self.x, y: -self.y }
    }
}

/// A sum on its way; never the neutral point.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    x: Field,
    y: Field,
    zz: Field,
    zzz: Field,
}

impl From<Affine> for Sum {
    fn from(point: Affine) -> Self {
        Self { x: point.x, y: point.y, zz: Field::one(), zzz: Field::one() }
    }
}

impl Sum {
    /// With one point more. Nothing where both have the same x: that is a doubling or the neutral point, for which the formula
    /// is not made.
    pub(super) fn add(self, point: Affine) -> Option<Self> {
        let across = point.x * self.zz - self.x;
        if across.is_zero() {
            return None;
        }
        let up = point.y * self.zzz - self.y;
        let across2 = across.square();
        let across3 = across * across2;
        let middle = self.x * across2;
        let x = up.square() - across3 - middle - middle;
        Some(Self {
            x,
            y: up * (middle - x) - self.y * across3,
            zz: self.zz * across2,
            zzz: self.zzz * across3,
        })
    }

    /// Twice this point, which has an answer for each: no point of a group of odd order is its own opposite.
    pub(super) fn doubled(self) -> Self {
        let twice = self.y + self.y;
        let twice2 = twice.square();
        let twice3 = twice * twice2;
        let middle = self.x * twice2;
        // 3·X² + a·ZZ² with a = -3.
        let slope = (self.x - self.zz) * (self.x + self.zz);
        let slope = slope + slope + slope;
        let x = slope.square() - middle - middle;
        Self { x, y: slope * (middle - x) - twice3 * self.y, zz: twice2 * self.zz, zzz: twice3 * self.zzz }
    }

    /// Whether its x is this number, without a division.
    pub(super) fn has_x(self, x: Field) -> bool {
        (x * self.zz - self.x).is_zero()
    }

    /// The same points with their coordinates, for one division in all.
    pub(super) fn normalised(sums: &[Self]) -> Option<Vec<Affine>> {
        let mut product = Field::one();
        let before: Vec<Field> = sums
            .iter()
            .map(|sum| {
                let so_far = product;
                product = product * sum.zzz;
                so_far
            })
            .collect();
        let mut inverse = product.invert()?;
        let mut points: Vec<Affine> = sums
            .iter()
            .zip(before)
            .rev()
            .map(|(sum, before)| {
                let over_zzz = inverse * before;
                inverse = inverse * sum.zzz;
                // ZZ/ZZZ is 1/Z.
                Affine { x: sum.x * (sum.zz * over_zzz).square(), y: sum.y * over_zzz }
            })
            .collect();
        points.reverse();
        Some(points)
    }
}

//! Random bytes, and the one place that draws them.

use std::cell::RefCell;

/// Where secrets come from: a cryptographically secure source.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// `N` random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut out = [0; N];
    entropy.fill(&mut out);
    out
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(clippy::disallowed_methods, reason = "the one place that draws randomness")]
    fn fill(&self, out: &mut [u8]) {
        // A machine without randomness must not mint secrets, and nothing a peer sends can bring this about.
        if getrandom::fill(out).is_err() {
            std::process::abort();
        }
    }
}

/// For ids that have to differ and are no secrets, such as those of requests: each thread draws for dozens of them at a time, because
/// every call has one. What is drawn lies in memory for a while, so nothing that has to be unknown is made of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdEntropy;

/// Drawn at a time.
const AHEAD: usize = 512;

thread_local! {
    /// What was drawn, and how much of it is left: each byte is given out once.
    static DRAWN: RefCell<([u8; AHEAD], usize)> = const { RefCell::new(([0; AHEAD], 0)) };
}

impl Entropy for IdEntropy {
    fn fill(&self, out: &mut [u8]) {
        if out.len() > AHEAD {
            return SystemEntropy.fill(out);
        }
        DRAWN.with_borrow_mut(|(drawn, left)| {
            if *left < out.len() {
                SystemEntropy.fill(drawn);
                *left = AHEAD;
            }
            *left -= out.len();
            for (to, from) in out.iter_mut().zip(drawn.iter().skip(*left)) {
                *to = *from;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_differ_on_all_threads() {
        let draw = || (0..2_000).map(|_| random::<16>(&IdEntropy)).collect::<Vec<_>>();
        let others: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let all = others.into_iter().flat_map(|thread| thread.join().unwrap()).chain(draw());
        assert_eq!(all.collect::<BTreeSet<_>>().len(), 10_000);
    }

    #[test]
    fn no_byte_is_given_out_twice_whatever_is_asked_for() {
        let mut seen = BTreeSet::new();
        for length in [16, 500, 8, 512, 513, 24, 16].into_iter().cycle().take(200) {
            let mut out = vec![0; length];
            IdEntropy.fill(&mut out);
            for piece in out.chunks_exact(8) {
                assert!(seen.insert(piece.to_vec()));
            }
        }
    }
}

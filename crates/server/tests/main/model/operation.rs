//! What may happen, and how a sequence of it is drawn from a number.

use hallpass_testkit::{SPLIT_MIX_STEP, split_mix};

/// One thing that happens. Which page, code or token is meant is counted back from the newest, so that a shorter
/// sequence still means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    SignIn { person: usize },
    Ask { person: usize, client: usize, resource: usize, scope: usize },
    Answer { page: usize, allow: bool },
    Redeem { code: usize, slip: Slip },
    Refresh { page: usize, age: usize, slip: Slip },
    Revoke { page: usize, age: usize, access: bool, own: bool },
    TakeBack { person: usize, page: usize },
    Everywhere { person: usize },
    Disable { person: usize },
    Enable { person: usize },
    Wait { seconds: i64 },
    Call { token: usize, resource: usize },
    Sweep,
    Restart,
    Copy,
    Restore,
}

/// An operation, the node that it is asked of, and whether the next one comes at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    pub node: usize,
    pub op: Op,
    pub beside_next: bool,
}

/// The one thing that is wrong, or only different, with an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// As it should be.
    None,
    /// Presented by another client.
    Client,
    /// Presented by the right client without its secret, or with one that it does not have.
    Secret,
    /// With the verifier of another request.
    Verifier,
    /// Naming another redirect URI.
    Redirect,
    /// Leaving the redirect URI out.
    NoRedirect,
    /// Naming another resource.
    Resource,
    /// Naming the right resource.
    RightResource,
    /// Asking for `read` alone.
    Read,
    /// Asking for everything that there is.
    Everything,
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(SPLIT_MIX_STEP);
        split_mix(self.0)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// Mostly 0, sometimes 1, seldom more.
    fn recent(&mut self) -> usize {
        [0, 0, 0, 0, 0, 1, 1, 1, 2, 3][self.below(10)]
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Around each limit that there is: 30 s, 1 min, 10 min, 12 h, 30 days.
const WAITS: [i64; 18] =
    [1, 1, 5, 29, 30, 31, 59, 60, 61, 599, 600, 630, 3_600, 28_800, 43_200, 86_400, 2_591_999, 2_592_001];

/// Draws a sequence: nearly always somebody gets tokens first, then 4 to 12 things happen, each on a node.
pub fn sequence(seed: u64) -> Vec<Act> {
    let mut dice = Dice(seed);
    let mut ops = Vec::new();
    if !dice.one_in(12) {
        granting(&mut dice, &mut ops);
    }
    let end = ops.len() + 4 + dice.below(5);
    while ops.len() < end {
        match dice.below(12) {
            0 => granting(&mut dice, &mut ops),
            1..=2 => turning(&mut dice, &mut ops),
            3 => going_back(&mut dice, &mut ops),
            _ => ops.push(anything(&mut dice)),
        }
    }
    ops.into_iter().map(|op| Act { node: dice.below(2), op, beside_next: dice.one_in(5) }).collect()
}

/// Somebody gets tokens, if nothing comes between the yes and the code.
fn granting(dice: &mut Dice, ops: &mut Vec<Op>) {
    ops.extend([asking(dice), Op::Answer { page: 0, allow: true }]);
    match dice.below(16) {
        0 => ops.push(Op::Everywhere { person: dice.below(2) }),
        1 => ops.push(Op::Disable { person: dice.below(2) }),
        2 => ops.push(Op::Wait { seconds: dice.pick(&[1, 59, 60, 61]) }),
        3 => ops.push(Op::Answer { page: 0, allow: true }),
        4 => ops.push(anything(dice)),
        _ => {}
    }
    ops.push(Op::Redeem { code: 0, slip: Slip::None });
}

/// Refreshes of one grant, some of them late, some of them again.
fn turning(dice: &mut Dice, ops: &mut Vec<Op>) {
    let page = dice.recent();
    for _ in 0..2 + dice.below(3) {
        ops.push(Op::Refresh { page, age: dice.pick(&[0, 0, 1, 1, 2]), slip: Slip::None });
        if dice.one_in(2) {
            ops.push(Op::Wait { seconds: dice.pick(&[1, 29, 30, 31, 600, 86_400, 2_591_999]) });
        }
    }
}

/// An old copy of the database is put back, and what was handed out meanwhile is presented.
fn going_back(dice: &mut Dice, ops: &mut Vec<Op>) {
    if !dice.one_in(4) {
        return;
    }
    ops.push(Op::Copy);
    for _ in 0..=dice.below(2) {
        match dice.below(4) {
            0 => granting(dice, ops),
            1 => ops.push(anything(dice)),
            _ => ops.push(Op::Refresh { page: dice.recent(), age: 0, slip: Slip::None }),
        }
    }
    ops.push(Op::Restore);
    ops.push(Op::Refresh { page: 0, age: dice.pick(&[0, 0, 1, 2]), slip: Slip::None });
}

fn asking(dice: &mut Dice) -> Op {
    Op::Ask { person: dice.below(2), client: dice.below(3), resource: dice.below(2), scope: dice.below(4) }
}

fn anything(dice: &mut Dice) -> Op {
    let person = dice.below(2);
    match dice.below(100) {
        0..=3 => Op::SignIn { person },
        4..=7 => asking(dice),
        8..=13 => Op::Answer { page: dice.recent(), allow: !dice.one_in(4) },
        14..=22 => Op::Redeem { code: dice.recent(), slip: redeeming(dice) },
        23..=50 => Op::Refresh { page: dice.recent(), age: dice.recent(), slip: refreshing(dice) },
        51..=56 => Op::Revoke {
            page: dice.recent(),
            age: dice.recent(),
            access: dice.one_in(2),
            own: !dice.one_in(3),
        },
        57..=60 => Op::TakeBack { person, page: dice.recent() },
        61..=63 => Op::Everywhere { person },
        64..=65 => Op::Disable { person },
        66..=67 => Op::Enable { person },
        68..=83 => Op::Wait { seconds: dice.pick(&WAITS) },
        84..=95 => Op::Call { token: dice.recent(), resource: dice.below(2) },
        96..=98 => Op::Sweep,
        _ => Op::Restart,
    }
}

fn redeeming(dice: &mut Dice) -> Slip {
    dice.pick(&[
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::Client,
        Slip::Secret,
        Slip::Verifier,
        Slip::Redirect,
        Slip::NoRedirect,
        Slip::Resource,
        Slip::RightResource,
    ])
}

fn refreshing(dice: &mut Dice) -> Slip {
    dice.pick(&[
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::Client,
        Slip::Secret,
        Slip::Resource,
        Slip::RightResource,
        Slip::Read,
        Slip::Everything,
    ])
}

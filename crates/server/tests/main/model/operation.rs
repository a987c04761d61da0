//! What may happen, and how a sequence of it is drawn from a number.

use super::rules::{AGENT, HELPER, THIRD};
use hallpass_testkit::{SPLIT_MIX_STEP, split_mix};

/// One thing that happens. Which page, code or token is meant is counted back from the newest, so that a shorter
/// sequence still means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    SignIn {
        person: usize,
    },
    Ask(Asked),
    Answer {
        page: usize,
        allow: bool,
    },
    Redeem {
        code: usize,
        slip: Slip,
    },
    Refresh {
        page: usize,
        age: usize,
        slip: Slip,
    },
    Revoke {
        page: usize,
        age: usize,
        access: bool,
        own: bool,
    },
    TakeBack {
        person: usize,
        page: usize,
    },
    Everywhere {
        person: usize,
    },
    Disable {
        person: usize,
    },
    Enable {
        person: usize,
    },
    Wait {
        seconds: i64,
    },
    Call {
        token: usize,
        resource: usize,
    },
    /// A client trades an access token for one of its own.
    Exchange {
        token: usize,
        by: usize,
        slip: Slip,
    },
    /// The operator blocks the helper, or lets it go on.
    Block {
        blocked: bool,
    },
    /// A device asks, and shows letters.
    Device {
        client: usize,
        resource: usize,
        scope: usize,
    },
    /// Another device happens to show the same letters.
    Twin {
        device: usize,
    },
    Type {
        person: usize,
        device: usize,
    },
    Look {
        person: usize,
        device: usize,
    },
    Decide {
        ask: usize,
        allow: bool,
    },
    Poll {
        device: usize,
        slip: Slip,
    },
    Sweep,
    Restart,
    Copy,
    Restore,
}

/// An authorization request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub person: usize,
    pub client: usize,
    pub resource: usize,
    pub scope: usize,
    pub way: Way,
}

/// How a request gets to the server. The numbers are those of [`super::rules::DETAILS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Link,
    Pushed,
    /// Pushed, for some tools only.
    PushedFor(usize),
    /// For some tools only, in a link that anybody can write.
    LinkFor(usize),
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
    /// Asking for other tools, where nobody is asked.
    Details,
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
        match dice.below(16) {
            0 => granting(&mut dice, &mut ops),
            1..=2 => turning(&mut dice, &mut ops),
            3 => going_back(&mut dice, &mut ops),
            4 => pairing(&mut dice, &mut ops),
            5 => trading(&mut dice, &mut ops),
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

/// A person lets a device in, if nothing comes between.
fn pairing(dice: &mut Dice, ops: &mut Vec<Op>) {
    let person = dice.below(2);
    let story = [
        showing(dice),
        Op::Type { person, device: 0 },
        Op::Poll { device: 0, slip: Slip::None },
        Op::Wait { seconds: 6 },
        Op::Look { person, device: 0 },
        Op::Decide { ask: 0, allow: !dice.one_in(5) },
        Op::Poll { device: 0, slip: Slip::None },
    ];
    let between = 1 + dice.below(2 * story.len());
    for (at, op) in story.into_iter().enumerate() {
        if at == between {
            match dice.below(8) {
                0..=1 => {
                    let polls = [1, 0].map(|device| Op::Poll { device, slip: Slip::None });
                    ops.push(Op::Twin { device: 0 });
                    ops.extend(polls);
                }
                2..=3 => ops.push(Op::Type { person: 1 - person, device: 0 }),
                4 => ops.push(Op::Everywhere { person }),
                5 => ops.push(Op::Wait { seconds: dice.pick(&[1, 5, 30, 590, 600]) }),
                6 => ops.extend([showing(dice), Op::Type { person, device: 0 }]),
                _ => ops.push(anything(dice)),
            }
        }
        ops.push(op);
    }
    if dice.one_in(3) {
        // Again, and not too fast for an answer.
        ops.extend([Op::Wait { seconds: 30 }, Op::Poll { device: 0, slip: Slip::None }]);
    }
}

/// An agent hands a part of what it may do on, and that is handed on again.
fn trading(dice: &mut Dice, ops: &mut Vec<Op>) {
    let resource = dice.below(2);
    ops.push(Op::Exchange { token: dice.recent(), by: HELPER, slip: trading_slip(dice) });
    ops.push(Op::Exchange { token: 0, by: THIRD, slip: trading_slip(dice) });
    match dice.below(5) {
        0 => ops.push(Op::Block { blocked: true }),
        1 => ops.push(Op::Revoke { page: 0, age: 0, access: false, own: true }),
        2 => ops.push(Op::Everywhere { person: dice.below(2) }),
        3 => ops.push(Op::Wait { seconds: dice.pick(&[1, 30, 570, 599, 600, 630]) }),
        _ => ops.push(anything(dice)),
    }
    ops.extend([0, 1, 2].map(|token| Op::Call { token, resource }));
    if dice.one_in(3) {
        ops.push(Op::Exchange { token: dice.recent(), by: dice.pick(&[HELPER, THIRD]), slip: Slip::None });
    }
    if dice.one_in(2) {
        ops.push(Op::Block { blocked: false });
    }
}

fn asking(dice: &mut Dice) -> Op {
    let (tools, client) = (dice.below(2), dice.below(4));
    let (way, client) = match dice.below(12) {
        0 => (Way::Pushed, client),
        1 => (Way::PushedFor(tools), client),
        2..=3 => (Way::PushedFor(tools), AGENT),
        4 if dice.one_in(3) => (Way::LinkFor(tools), client),
        _ => (Way::Link, client),
    };
    Op::Ask(Asked { person: dice.below(2), client, resource: dice.below(2), scope: dice.below(4), way })
}

fn showing(dice: &mut Dice) -> Op {
    let client = dice.pick(&[0, 0, 0, 0, AGENT, AGENT, AGENT, AGENT, 1, 2]);
    Op::Device { client, resource: dice.below(2), scope: dice.below(4) }
}

fn anything(dice: &mut Dice) -> Op {
    let person = dice.below(2);
    match dice.below(112) {
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
        99 => Op::Restart,
        100..=104 => {
            let by = dice.pick(&[0, AGENT, AGENT, HELPER, HELPER, HELPER, THIRD, THIRD]);
            Op::Exchange { token: dice.recent(), by, slip: trading_slip(dice) }
        }
        105 => showing(dice),
        106 => Op::Type { person, device: dice.recent() },
        107 => Op::Look { person, device: dice.recent() },
        108..=109 => Op::Decide { ask: dice.recent(), allow: !dice.one_in(4) },
        _ => Op::Poll { device: dice.recent(), slip: polling(dice) },
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
        Slip::Details,
    ])
}

fn polling(dice: &mut Dice) -> Slip {
    dice.pick(&[
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::Client,
        Slip::Secret,
        Slip::Resource,
        Slip::RightResource,
        Slip::Details,
    ])
}

fn trading_slip(dice: &mut Dice) -> Slip {
    dice.pick(&[
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::None,
        Slip::Read,
        Slip::Read,
        Slip::Everything,
        Slip::Secret,
        Slip::Resource,
        Slip::RightResource,
        Slip::Details,
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
        Slip::Details,
    ])
}

//! From an operation to a step: which page, code or token is meant.

use super::{operation::Op, rules::Model, seen::Step};

/// What an operation means right now; none, where there is nothing that it could mean.
pub fn named(op: Op, model: &Model) -> Option<Step> {
    let seen = &model.seen;
    let back = |from: usize, count: usize| (count > 0).then(|| count - 1 - from % count);
    Some(match op {
        Op::SignIn { person } => Step::SignIn { person },
        Op::Ask { person, client, resource, scope } => Step::Ask { person, client, resource, scope },
        Op::Answer { page, allow } => Step::Answer { page: back(page, seen.pages.len())?, allow },
        Op::Redeem { code, slip } => Step::Redeem { code: back(code, seen.codes.len())?, slip },
        Op::Refresh { page, age, slip } => {
            let (page, texts) = seen.refresh.iter().rev().cycle().nth(page)?;
            Step::Refresh { page: *page, token: back(age, texts.len())?, slip }
        }
        Op::Revoke { page, age, access: false, own } => {
            let (page, texts) = seen.refresh.iter().rev().cycle().nth(page)?;
            let text = texts[back(age, texts.len())?].clone();
            Step::Revoke { page: *page, text, access: None, own }
        }
        Op::Revoke { age, access: true, own, .. } => {
            let at = back(age, seen.access.len())?;
            let token = &seen.access[at];
            Step::Revoke { page: token.page, text: token.text.clone(), access: Some(at), own }
        }
        Op::TakeBack { person, page } => {
            let (page, _) = seen.names.iter().rev().cycle().nth(page)?;
            Step::TakeBack { person, page: *page }
        }
        Op::Everywhere { person } => Step::Everywhere { person },
        Op::Disable { person } => Step::Able { person, disabled: true },
        Op::Enable { person } => Step::Able { person, disabled: false },
        Op::Wait { seconds } => Step::Wait { seconds },
        Op::Call { token, resource } => Step::Call { access: back(token, seen.access.len())?, resource },
        Op::Sweep => Step::Sweep,
        Op::Restart => Step::Restart,
        Op::Copy => Step::Copy,
        Op::Restore => model.has_copy().then_some(Step::Restore)?,
    })
}

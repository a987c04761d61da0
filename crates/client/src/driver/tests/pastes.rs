//! Sign-ins whose answer is pasted, and those where nobody is there.
use super::world::*;
use crate::{callback::CallbackError, driver::LoginOptions, error::ClientError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Where the page sends the browser.
async fn answer_of(page: &str) -> String {
    let answered = get(page).await;
    answered.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned()
}

/// Somebody who opens the page elsewhere and pastes what `lines` makes of its answer.
fn elsewhere(lines: fn(String) -> Vec<String>) -> Robot {
    let (sender, pasted) = mpsc::channel(8);
    let mut sender = Some(sender);
    let act = move |page: &str| {
        let (page, sender) = (page.to_owned(), sender.take().unwrap());
        tokio::spawn(async move {
            for line in lines(answer_of(&page).await) {
                let _ = sender.send(line).await;
            }
        });
    };
    Robot { instead: Some(Box::new(act)), pasted: Some(pasted), ..Robot::default() }
}

fn soon() -> LoginOptions {
    LoginOptions { patience: Duration::from_secs(5), ..LoginOptions::default() }
}

#[tokio::test]
async fn an_answer_can_be_pasted_and_what_is_none_changes_nothing() {
    let world = World::new().await;
    let mut robot = elsewhere(|answer| {
        let foreign = answer.replace("state=", "state=x");
        vec![String::new(), "what?".into(), foreign, format!(" {answer}\n")]
    });
    world.client.login(&world.mcp, &soon(), &mut robot).await.unwrap();
    assert_eq!(robot.wrong, 3);
    assert_eq!((world.kept().entries.len(), world.asked("/token").len()), (1, 1));
}

#[tokio::test]
async fn t_06_cl_044_a_pasted_answer_is_judged_like_any_other() {
    let world = World::new().await;
    world.set(|knobs| knobs.iss = Some("https://honest.example"));
    let mut robot = elsewhere(|answer| vec![answer]);
    let end = error(world.client.login(&world.mcp, &soon(), &mut robot).await);
    assert!(matches!(end, ClientError::Callback(CallbackError::IssuerWrong)));
    assert!(world.asked("/token").is_empty());
}

#[tokio::test]
async fn when_nobody_is_there_it_ends_at_once_and_nothing_is_forgotten() {
    let world = World::new().await;
    world.login().await.unwrap();
    let long = LoginOptions { patience: Duration::from_hours(1), ..LoginOptions::default() };
    let mut gone = elsewhere(|_| vec!["what?".into()]);
    let mut headless = Robot { instead: Some(Box::new(|_| ())), nobody: true, ..Robot::default() };
    for robot in [&mut gone, &mut headless] {
        let end = error(world.client.login(&world.mcp, &long, robot).await);
        assert!(matches!(end, ClientError::NobodyThere));
    }
    assert_eq!((world.kept().entries.len(), world.kept().registrations.len()), (1, 1));
}

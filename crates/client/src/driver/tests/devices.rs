//! Signing in with a code on another device.
use super::world::*;
use crate::{
    device::{DeviceError, DevicePrompt},
    driver::{DeviceInteraction, LoginOptions, SignedIn, WhatFor},
    error::{ClientError, Failed},
};
use serde_json::json;
use std::time::Duration;

/// What a terminal shows.
#[derive(Default)]
struct Terminal {
    prompts: Vec<DevicePrompt>,
    waited: u32,
}

impl DeviceInteraction for Terminal {
    fn show(&mut self, prompt: &DevicePrompt, _: &WhatFor<'_>) {
        self.prompts.push(prompt.clone());
    }

    fn waiting(&mut self, _: Duration) {
        self.waited += 1;
    }
}

async fn world() -> World {
    let world = World::new().await;
    let endpoint = json!(format!("{}/device", world.issuer));
    let types = json!(["authorization_code", "refresh_token", crate::device::DEVICE_CODE]);
    world.set(|knobs| {
        knobs.metadata = vec![("device_authorization_endpoint", endpoint), ("grant_types_supported", types)];
    });
    world
}

async fn login(world: &World, terminal: &mut Terminal) -> Result<SignedIn, Failed> {
    world.client.login_on_device(&world.mcp, &LoginOptions::default(), terminal).await
}

#[tokio::test]
async fn as_178_the_code_is_shown_and_polled_until_the_person_has_decided() {
    let world = world().await;
    world.set(|knobs| knobs.device_answers = vec!["authorization_pending", "authorization_pending"]);
    let mut terminal = Terminal::default();
    let done = login(&world, &mut terminal).await.unwrap();
    assert!(done.renewable);
    let prompt = &terminal.prompts[0];
    assert_eq!((prompt.user_code.as_str(), terminal.waited), ("WDJB-MJHT", 2));
    assert_eq!(prompt.page.as_str(), format!("{}/enter", world.issuer));
    assert!(prompt.complete.as_ref().unwrap().as_str().ends_with("/enter?user_code=WDJB-MJHT"));
    let registered = world.asked("/register")[0].json();
    assert!(registered["grant_types"].as_array().unwrap().contains(&json!(crate::device::DEVICE_CODE)));
    let (asked, polled) = (world.asked("/device")[0].form(), world.asked("/token"));
    assert_eq!(asked.get("resource"), Some(world.mcp.as_str()));
    assert_eq!(asked.get("scope"), Some("read write"));
    assert_eq!(polled.len(), 3);
    assert!(polled.iter().all(|poll| poll.form().get("device_code") == Some("device-1")));
    assert!(world.asked("/authorize").is_empty());
    // The tokens are kept as those of any other sign-in, and the registration serves both ways.
    assert_eq!(world.kept().entries.len(), 1);
    world.login().await.unwrap();
    assert_eq!(world.asked("/register").len(), 1);
}

#[tokio::test]
async fn as_178_a_no_and_an_end_are_said_and_nothing_is_asked_again() {
    for (code, error) in [("access_denied", DeviceError::Denied), ("expired_token", DeviceError::Expired)] {
        let world = world().await;
        world.set(|knobs| knobs.device_answers = vec![code]);
        let end = login(&world, &mut Terminal::default()).await.unwrap_err();
        assert!(matches!(end.error, ClientError::Device(found) if found == error), "{code}");
        assert_eq!(world.asked("/token").len(), 1);
        assert!(world.kept().entries.is_empty());
    }
    // Who waits for less than the code lives gives up by themselves.
    let world = world().await;
    world.set(|knobs| knobs.device_answers = vec!["authorization_pending"; 9]);
    let options = LoginOptions { patience: Duration::from_millis(1_500), ..LoginOptions::default() };
    let end = world.client.login_on_device(&world.mcp, &options, &mut Terminal::default()).await.unwrap_err();
    assert!(matches!(end.error, ClientError::NobodyAnswered));
    // Not offered, or offered to somebody else.
    let world = World::new().await;
    assert!(login(&world, &mut Terminal::default()).await.is_err());
}

#[tokio::test]
async fn as_178_a_lost_poll_and_a_forgotten_registration_are_no_end() {
    let world = world().await;
    world.login().await.unwrap();
    world.set(|knobs| {
        let kind = "content-type: application/json\r\n".to_owned();
        knobs.instead = vec![
            ("/device", 401, kind, "{\"error\":\"invalid_client\"}".to_owned()),
            ("/token", 503, String::new(), String::new()),
        ];
        knobs.times.extend([("/device", 1), ("/token", 1)]);
    });
    login(&world, &mut Terminal::default()).await.unwrap();
    assert_eq!(world.asked("/register").len(), 2);
}

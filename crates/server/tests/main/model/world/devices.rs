//! Devices, and people who type what those show.

use super::{DEVICE, RESOURCES, World};
use crate::model::{
    operation::Slip,
    rules::{Device, Outcome, Shown},
};
use crate::support::text;
use hallpass_core::{entropy::SystemEntropy, grant::DeviceCode, id::GrantId, parameters, time::Clock};
use std::time::Duration;

impl World {
    pub(super) async fn device(&self, node: usize, client: usize, resource: usize, scope: &str) -> Outcome {
        let mut pairs = self.credentials((client, resource), Slip::None);
        pairs.extend([("resource", RESOURCES[resource].to_owned()), ("scope", scope.to_owned())]);
        let answer = self.form(node, "/device_authorization", None, &pairs).await;
        if answer.status != 200 {
            return Outcome::Refused(answer.error());
        }
        let said = answer.json();
        Outcome::Device(text(&said, "device_code").to_owned(), text(&said, "user_code").to_owned())
    }

    /// What the server would have sealed for a device that chance gave the same letters.
    pub(super) fn twin(&self, device: &Device, age: i64) -> Outcome {
        let (keys, now) = (&self.nodes[0].app.keys, self.clock.now());
        // The first may be over by now.
        let asked = now.minus(Duration::from_secs(age.try_into().unwrap()));
        let code = DeviceCode::open(keys, &device.text, asked).unwrap();
        let twin = DeviceCode { id: GrantId::new(now, &SystemEntropy), asked_at: now, ..code };
        Outcome::Device(twin.seal(keys, &SystemEntropy).expose().to_owned(), device.letters.clone())
    }

    pub(super) async fn types(&self, node: usize, person: usize, letters: &str) -> Outcome {
        let form = self.get(node, "/device", person).await;
        let Some(csrf) = form.hidden("csrf").filter(|_| form.hidden("waiting").is_none()) else {
            return Outcome::SignInForm;
        };
        let pairs = [("csrf", csrf), ("user_code", letters.to_owned())];
        let typed = self.form(node, "/device", Some(person), &pairs).await;
        match typed.status.as_u16() {
            303 => Outcome::Done,
            // Signed out between the form and this.
            403 => Outcome::SignInForm,
            200 => shown(&typed.text),
            other => Outcome::Refused(other.to_string()),
        }
    }

    pub(super) async fn looks(&self, node: usize, person: usize, letters: &str) -> Outcome {
        let query = parameters::encode([("user_code", letters)]);
        let page = self.get(node, &format!("/device?{query}"), person).await;
        match (page.hidden("csrf"), page.hidden("page"), page.hidden("waiting")) {
            (Some(csrf), Some(sealed), None) => Outcome::Page { csrf, sealed },
            (_, None, Some(_)) => Outcome::SignInForm,
            _ => shown(&page.text),
        }
    }

    pub(super) async fn decides(&self, node: usize, asked: &Shown, allow: bool) -> Outcome {
        let decision = if allow { "allow" } else { "deny" };
        let pairs =
            [("csrf", asked.csrf.clone()), ("page", asked.sealed.clone()), ("decision", decision.into())];
        let done = self.form(node, "/device", Some(asked.person), &pairs).await;
        if done.status == 303 { Outcome::Done } else { Outcome::Refused(done.status.to_string()) }
    }

    pub(super) async fn polls(&self, node: usize, device: &Device, slip: Slip) -> Outcome {
        let mut pairs = self.credentials((device.client, device.resource), slip);
        pairs.extend([("grant_type", DEVICE.to_owned()), ("device_code", device.text.clone())]);
        self.token(node, &pairs).await
    }
}

/// Which of the pages without a question it is.
fn shown(page: &str) -> Outcome {
    for (heading, name) in [
        ("<h1>Connect a device</h1>", "form"),
        ("<h1>Looking for the device</h1>", "waiting"),
        ("<h1>Allowed</h1>", "allowed"),
        ("<h1>Not allowed</h1>", "declined"),
        ("<h1>This code cannot be used</h1>", "spoiled"),
    ] {
        if page.contains(heading) {
            return Outcome::Shown(name);
        }
    }
    Outcome::Refused(page.to_owned())
}

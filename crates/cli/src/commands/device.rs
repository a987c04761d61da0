//! `hallpass login --device`: shows the code, a QR code of the page, and how long there is.

use super::{
    person::announce,
    waiting::{minutes, say_left},
};
use crate::{
    output::{colours, note},
    say,
};
use hallpass_client::{
    device::DevicePrompt,
    driver::{DeviceInteraction, WhatFor},
};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

/// Whoever looks at this terminal.
#[derive(Debug, Default)]
pub struct Screen {
    minutes_left: Option<u64>,
}

impl DeviceInteraction for Screen {
    fn show(&mut self, prompt: &DevicePrompt, what_for: &WhatFor<'_>) {
        announce(what_for.server, what_for.server_name, what_for.scope);
        if let Some(complete) = prompt.complete.as_ref().filter(|_| stderr().is_terminal())
            && let Some(picture) = picture(complete.as_str(), colours())
        {
            note(&format!("\nScan this with your phone:\n\n{picture}\n"));
        }
        let minutes = minutes(prompt.lifetime);
        note(&format!(
            "Open this page in a browser, on any device, and check that {} is the host in the address bar:",
            prompt.page.host()
        ));
        say!("{}", prompt.page.as_str());
        note("Enter this code there:");
        say!("{}", prompt.user_code);
        note(&format!("Give it to nobody. Waiting for {minutes} minutes; Ctrl-C stops."));
        self.minutes_left = Some(minutes);
    }

    fn waiting(&mut self, left: Duration) {
        let left = minutes(left);
        if self.minutes_left.is_some_and(|before| left < before) {
            self.minutes_left = Some(left);
            say_left(left);
        }
    }
}

/// In half blocks. Black on white whatever the terminal's colours are: not every camera reads the inverse. Where no colours are
/// wanted, right for light text on a dark ground, as most terminals have it.
fn picture(text: &str, colours: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    renderer.quiet_zone(true);
    if !colours {
        renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    }
    let (before, after) = if colours { ("\u{1b}[30;107m", "\u{1b}[0m") } else { ("", "") };
    let lines: Vec<String> =
        renderer.build().lines().map(|line| format!("  {before}{line}{after}")).collect();
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_black_blocks_on_white_and_fits_a_terminal() {
        let page = "https://auth.example.com/device?user_code=WDJB-MJHT";
        let drawn = picture(page, true).unwrap();
        let lines: Vec<&str> = drawn.lines().collect();
        assert!(lines.iter().all(|line| line.starts_with("  \u{1b}[30;107m") && line.ends_with("\u{1b}[0m")));
        let widest = lines
            .iter()
            .map(|line| line.chars().filter(|c| " \u{2580}\u{2584}\u{2588}".contains(*c)).count())
            .max();
        assert!((20..=80).contains(&widest.unwrap()) && (10..=24).contains(&lines.len()), "{}", lines.len());
        let third = lines[2];
        assert!(!lines[0].contains(['\u{2580}', '\u{2584}', '\u{2588}']), "the quiet zone is white");
        assert!(
            third.contains("\u{2588}\u{2580}\u{2580}\u{2580}\u{2580}\u{2580}\u{2588}"),
            "a finder is black"
        );
        let plain = picture(page, false).unwrap();
        assert!(!plain.contains('\u{1b}'), "NO_COLOR");
        assert!(plain.starts_with("  \u{2588}\u{2588}\u{2588}\u{2588}"), "the quiet zone is light");
        assert_eq!(picture(&"x".repeat(9_000), true), None);
    }
}

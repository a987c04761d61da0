//! `[dpop]`: tokens that are bound to a key.

use super::{Check, file::ConfigFile, resources::resource_of};
use hallpass_server::Settings;
use serde::Deserialize;
use toml::Spanned;

/// `[dpop]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct DpopSection {
    /// "off", "offered" or "required".
    pub mode: Option<Spanned<Mode>>,
    /// Whether each proof has to carry a nonce.
    #[serde(default)]
    pub nonces: bool,
}

/// Who gets bound tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nobody new.
    Off,
    /// Who asks for them.
    Offered,
    /// Everybody: no server takes others.
    Required,
}

impl Check<'_> {
    pub(super) fn proofs(&mut self, file: &ConfigFile, settings: &mut Settings) {
        let mode = file.dpop.mode.as_ref().map_or(Mode::Offered, |mode| *mode.get_ref());
        settings.proofs.offered = mode != Mode::Off;
        settings.proofs.nonces = file.dpop.nonces;
        for entry in file.for_tokens(settings) {
            let only = entry.bound_tokens_only;
            let asked = only.is_some_and(|only| *only.get_ref());
            if let (Some(only), true, Mode::Off) = (only, asked, mode) {
                self.wrong(
                    only,
                    "this server takes bound tokens only, and [dpop] mode is \"off\"",
                    "write mode = \"offered\" under [dpop], or remove bound_tokens_only here",
                );
            }
            if let Some(resource) = resource_of(settings, &entry.uri) {
                resource.bound_tokens_only = asked || mode == Mode::Required;
            }
        }
    }
}

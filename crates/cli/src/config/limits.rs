//! `[limits]`, `[keys]`, and who may introspect.

use super::{
    Check,
    file::{ConfigFile, KeysSection, Limits as Typed},
    resources::resource_of,
};
use hallpass_core::jose::Algorithm;
use hallpass_server::{KeySettings, Limits, Settings};
use std::time::Duration;

impl Check<'_> {
    pub(super) fn limits(&mut self, typed: &Typed, limits: &mut Limits) {
        let rates = [
            (&mut limits.registrations, &typed.registrations_per_minute),
            (&mut limits.authorizations, &typed.authorizations_per_minute),
            (&mut limits.sign_ins, &typed.sign_ins_per_minute),
            (&mut limits.failures, &typed.failures_per_minute),
            (&mut limits.refreshes, &typed.refreshes_per_minute),
            (&mut limits.introspections, &typed.introspections_per_minute),
            (&mut limits.shared_factor, &typed.shared_factor),
        ];
        for (limit, typed) in rates {
            *limit = self.at_least_one(typed.as_ref()).unwrap_or(*limit);
        }
        let Some(networks) = &typed.shared_networks else { return };
        limits.shared.clear();
        for text in networks.get_ref() {
            match text.parse() {
                Ok(network) => limits.shared.push(network),
                Err(error) => self.wrong(
                    networks,
                    format!("{text:?} is {error}"),
                    "write networks such as \"160.79.104.0/21\"; an empty list for none",
                ),
            }
        }
    }

    pub(super) fn keys(&mut self, section: &KeysSection, keys: &mut KeySettings) {
        if let Some(name) = &section.algorithm {
            match Algorithm::from_name(name.get_ref()) {
                Some(algorithm) => keys.algorithm = algorithm,
                None => self.wrong(
                    name,
                    format!("there is no algorithm {:?}", name.get_ref()),
                    "write \"ES256\", \"EdDSA\" or \"RS256\"",
                ),
            }
        }
        if let Some(every) = &section.rotate_every {
            let every = self.duration(Some(every), Duration::from_hours(2_160), 0, 3_650 * 86_400);
            if !every.is_zero() && every < Duration::from_hours(24) {
                let at = section.rotate_every.as_ref();
                if let Some(at) = at {
                    self.wrong(
                        at,
                        "keys would be made faster than they can be given up",
                        "write \"1d\" or more, or \"0s\" for never",
                    );
                }
            }
            keys.rotate_every = (!every.is_zero()).then_some(every);
        }
    }

    /// The clients that servers name have to exist: a misspelt one would be refused only when it asks.
    pub(super) fn introspection(&mut self, file: &ConfigFile, settings: &mut Settings) {
        for entry in file.for_tokens(settings) {
            let Some(named) = entry.introspection_clients else { continue };
            for id in named.get_ref() {
                match settings.clients.iter().find(|client| client.id() == id) {
                    None => self.wrong(
                        named,
                        format!("introspection_clients names {id:?}, and no [[client]] has this id"),
                        "add a [[client]] with this id, auth = \"client_secret_basic\", secret_file and grant_types = []",
                    ),
                    Some(client) if client.proofs().none => self.wrong(
                        named,
                        format!("the client {id:?} proves nothing, so anybody could introspect in its name"),
                        "give it auth = \"client_secret_basic\" and a secret_file",
                    ),
                    Some(_) => {}
                }
            }
            if let Some(resource) = resource_of(settings, &entry.uri) {
                resource.introspectors.clone_from(named.get_ref());
            }
        }
    }
}

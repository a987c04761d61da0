//! How the first person gets in, where no password opens the door.

use hallpass_server::{Accounts, SignInSettings};
use std::path::Path;

/// What to do, where passwords are off: at a provider that makes accounts, or by two commands of an operator.
pub fn without_passwords(sign_in: &SignInSettings, file: &Path) -> Option<String> {
    if sign_in.passwords {
        return None;
    }
    let creates = sign_in.providers.iter().find(|provider| provider.accounts == Accounts::Create);
    Some(match (creates, sign_in.providers.first()) {
        (Some(provider), _) => format!("whoever signs in at {} gets an account", provider.title()),
        (None, provider) => {
            let (issuer, file) = (provider.map_or("ISSUER", |provider| &provider.issuer), file.display());
            format!(
                "hallpass user add NAME --config {file}, then hallpass user link NAME --issuer {issuer} --subject SUBJECT --config {file}; nobody else can sign in"
            )
        }
    })
}

//! From the gateway's calls to what people connected at the authorization server.

use hallpass_core::id::PersonId;
use hallpass_gateway::{CredentialAnswer, NoCredential, PersonCredentials, SecretHeader, UpstreamCredential};
use hallpass_server::{App, connections};
use std::sync::Arc;

/// The tokens of one service, of people of this server.
struct Connected {
    app: Arc<App>,
    name: String,
    title: String,
}

/// For a server that works with accounts at this service.
pub fn of(app: &Arc<App>, name: &str) -> UpstreamCredential {
    let title = app.settings.connection(name).map_or(name, |connection| &*connection.title).to_owned();
    UpstreamCredential::Person(Arc::new(Connected { app: Arc::clone(app), name: name.to_owned(), title }))
}

impl PersonCredentials for Connected {
    fn credential<'a>(&'a self, person: &'a str, refused: Option<&'a SecretHeader>) -> CredentialAnswer<'a> {
        Box::pin(async move {
            // A subject of another issuer is never the id of a person here.
            let person = PersonId::parse(person).ok_or(NoCredential::NotConnected)?;
            let refused = refused.and_then(SecretHeader::token);
            let token = connections::token(&self.app, person, &self.name, refused.as_ref()).await;
            let token = token.map_err(|error| match error {
                connections::NoToken::NotConnected => NoCredential::NotConnected,
                connections::NoToken::Ended => NoCredential::Ended,
                connections::NoToken::Unavailable => NoCredential::Unavailable,
            })?;
            SecretHeader::bearer(&token).map_err(|_| NoCredential::Ended)
        })
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn page(&self, person: &str) -> String {
        match PersonId::parse(person) {
            Some(person) => connections::page_for(&self.app, person, &self.name, self.app.clock.now()),
            None => self.app.settings.issuer.endpoint("/account/connections"),
        }
    }
}

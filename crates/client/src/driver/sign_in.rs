//! Calls that sign in when the server asks for that, within limits.

use super::{Caller, Interaction, LoginOptions, MachineOptions, Messages};
use crate::error::{ClientError, Failed};
use hallpass_core::scope::Scope;
use serde_json::{Map, Value};

/// Who signs in when the server asks for that in the middle of a conversation.
pub enum SignIn<'a> {
    /// A person.
    Person {
        /// How. The caller's account counts, and `more_scope` is set as the server asks.
        options: &'a LoginOptions,
        /// The person.
        interaction: &'a mut dyn Interaction,
    },
    /// The program itself.
    Machine(&'a MachineOptions),
}

impl SignIn<'_> {
    const fn extension(&self) -> Option<&'static str> {
        match self {
            Self::Person { .. } => None,
            Self::Machine(options) => Some(options.grant.extension()),
        }
    }

    const fn has_chosen_scopes(&self) -> bool {
        match self {
            Self::Person { options, .. } => options.scope.is_some(),
            Self::Machine(options) => options.scope.is_some(),
        }
    }
}

impl std::fmt::Debug for SignIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Person { .. } => "SignIn::Person",
            Self::Machine(_) => "SignIn::Machine",
        })
    }
}

impl Caller {
    /// As [`Caller::call`], and signs in where the server asks for that: at first, when a sign-in has ended, when the server
    /// has moved to another authorization server (CL-014), or for more scopes (CL-076). At most three times for
    /// one call, and for each set of scopes once (CL-077); then the server's refusal stands.
    ///
    /// # Errors
    /// Those of [`Caller::call`], [`Client::login`] and [`Client::login_machine`].
    pub async fn call_signing_in(
        &mut self,
        method: &str,
        params: Option<&Map<String, Value>>,
        sign_in: &mut SignIn<'_>,
    ) -> Result<Messages<'_>, Failed> {
        let name = params.and_then(|params| params.get("name")).and_then(Value::as_str).unwrap_or_default();
        let operation = format!("{method} {name}");
        self.attempts.next_call();
        self.extension = sign_in.extension();
        let response = loop {
            let failed = match self.response(method, params).await {
                Ok(response) => break response,
                Err(failed) => failed,
            };
            let more = if let ClientError::MoreScopeNeeded(scope) = &failed.error {
                Some(scope.clone())
            } else if matches!(failed.error, ClientError::SignInNeeded) {
                None
            } else {
                return Err(failed);
            };
            // Whoever chose exactly these scopes is not asked for others.
            let fixed = more.is_some() && sign_in.has_chosen_scopes();
            if fixed || !self.attempts.allow(&operation, more.as_ref()) {
                return Err(failed);
            }
            self.sign_in(sign_in, more).await?;
        };
        Messages::of(self, response, method).await
    }

    async fn sign_in(&mut self, sign_in: &mut SignIn<'_>, more_scope: Option<Scope>) -> Result<(), Failed> {
        let (server, challenged) = (self.server.clone(), self.challenged.take());
        match sign_in {
            SignIn::Person { options, interaction } => {
                let options =
                    LoginOptions { account: self.account.clone(), more_scope, ..(*options).clone() };
                self.client.login_for(server, &options, challenged, &mut **interaction).await?;
            }
            SignIn::Machine(options) => {
                let options = MachineOptions { account: self.account.clone(), ..(*options).clone() };
                let login = self.client.login_machine_for(server, &options, challenged, more_scope.as_ref());
                login.await?;
            }
        }
        Ok(())
    }
}

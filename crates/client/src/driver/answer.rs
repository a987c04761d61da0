//! Waiting for the authorization response: from the browser to the listener, or pasted by a person whose browser is
//! somewhere else.

use super::{Client, Interaction};
use crate::{
    authorize::Pending,
    callback::{CallbackError, Code, pasted},
    error::{ClientError, Failed},
    loopback::{Arrived, Listener, Page},
    peer::Failure,
};
use tokio::sync::mpsc;

impl Client {
    /// The code, from whichever place it comes first. What is not an answer to this request changes nothing. `None`: there is
    /// no listener, and nothing will be pasted.
    pub(super) async fn answer(
        &self,
        listener: Option<Listener>,
        pending: &Pending,
        server: &str,
        interaction: &mut dyn Interaction,
    ) -> Result<Option<Code>, Failed> {
        if interaction.nobody() {
            return Err(ClientError::NobodyThere.into());
        }
        let redirect_uri = pending.request.redirect_uri.as_str();
        let name = self.settings.name.as_str();
        let judge = |arrived: Arrived| match pending.receive(&arrived.query) {
            Err(failure) if failure.error == CallbackError::Unrelated => {
                arrived.answer(Page::unrelated());
                None
            }
            Err(failure) => {
                arrived.answer(Page::refused(name, server));
                Some(Err(failure))
            }
            Ok(code) => {
                arrived.answer(Page::accepted(name, server));
                Some(Ok(code))
            }
        };
        match (listener, interaction.pasted()) {
            (None, None) => Ok(None),
            (Some(listener), None) => Ok(Some(listener.wait(judge).await?)),
            (None, Some(lines)) => from_paste(lines, redirect_uri, pending, interaction).await.map(Some),
            (Some(listener), Some(lines)) => tokio::select! {
                answered = listener.wait(judge) => Ok(Some(answered?)),
                answered = from_paste(lines, redirect_uri, pending, interaction) => answered.map(Some),
            },
        }
    }
}

async fn from_paste(
    mut lines: mpsc::Receiver<String>,
    redirect_uri: &str,
    pending: &Pending,
    interaction: &mut dyn Interaction,
) -> Result<Code, Failed> {
    while let Some(line) = lines.recv().await {
        match pasted(redirect_uri, &line).map(|query| pending.receive(query)) {
            None | Some(Err(Failure { error: CallbackError::Unrelated, .. })) => interaction.not_the_answer(),
            Some(judged) => return Ok(judged?),
        }
    }
    Err(ClientError::NobodyThere.into())
}

//! What failed, in words: one sentence, what the peer said, and what to do.

use crate::output::note;
use hallpass_client::{
    device::DeviceError,
    discovery::DiscoveryError,
    error::{ClientError, Failed},
    platform::PlatformError,
    storage::StorageError,
};
use hallpass_fetch::{FetchError, tls::Distrust};
use std::{io::ErrorKind, process::ExitCode};

/// One sentence that says what failed, what the peer said, and what to do. Exit code 3 where a sign-in helps, 4 where the
/// MCP server answered with an error, 5 where nobody is there to sign in.
pub fn explain(url: &str, failed: &Failed) -> ExitCode {
    note(&format!("hallpass: {failed}"));
    let refused = matches!(failed.error, ClientError::NotBegun);
    if let Some(said) = &failed.said {
        let who = if refused { "server" } else { "authorization server" };
        note(&format!("The {who} says: \"{said}\""));
    }
    if let Some(fix) = fix(url, &failed.error) {
        note(&fix);
    }
    let needs_sign_in = matches!(
        failed.error,
        ClientError::SignInNeeded
            | ClientError::MoreScopeNeeded(_)
            | ClientError::ThroughEnded(_)
            | ClientError::SignInDemanded(_)
            | ClientError::NothingBegun
    );
    let nobody = matches!(failed.error, ClientError::NobodyThere);
    ExitCode::from(if needs_sign_in {
        3
    } else if nobody {
        5
    } else if matches!(failed.error, ClientError::ServerUrl(_)) {
        2
    } else if refused {
        4
    } else {
        1
    })
}

fn fix(url: &str, error: &ClientError) -> Option<String> {
    if let ClientError::MoreScopeNeeded(scope) = error {
        let scope = plain(scope.to_string())?;
        return Some(format!("Sign in for more: hallpass login {url} --scope \"{scope}\""));
    }
    if let ClientError::SecretForWhom(issuer) = error {
        let issuer = plain(issuer.clone())?;
        return Some(format!("If its operator is who gave you the secret, say so with --issuer {issuer}"));
    }
    if let ClientError::Fetch { source, .. } = error {
        return fetch_fix(url, *source);
    }
    if matches!(error, ClientError::ServerUrl(_)) {
        return Some("Write the whole URL, such as https://mcp.example.com/mcp".to_owned());
    }
    if let ClientError::Storage(StorageError::Io { source, .. }) = error
        && matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
    {
        return Some("Choose a folder that you may write to: --state FOLDER".to_owned());
    }
    if matches!(error, ClientError::Discovery(DiscoveryError::NoMachineGrant)) {
        return Some(format!("Sign in as a person, with a browser here: hallpass login {url}"));
    }
    if matches!(error, ClientError::SignInNeeded) {
        return Some(format!("Sign in: hallpass login {url}"));
    }
    if matches!(error, ClientError::NothingBegun) {
        return Some(format!("Begin one: hallpass login {url} --print-url"));
    }
    if matches!(error, ClientError::PortTaken(_)) {
        return Some(format!("Paste the answer: hallpass login {url} --wait --paste"));
    }
    if let ClientError::ThroughEnded(there) = error {
        return Some(format!(
            "Sign in there, with the client id that its operator gave you: hallpass login {there}"
        ));
    }
    if matches!(error, ClientError::ThroughUnknownClient) {
        return Some("Name it with --client-id and --client-secret-file".to_owned());
    }
    if let ClientError::SignInDemanded(_) = error {
        return Some(format!("Sign in again: hallpass login {url} --through, as before"));
    }
    if matches!(error, ClientError::BoundToken) {
        return Some(format!("Use it from here: hallpass list {url}, or hallpass connect {url}"));
    }
    if matches!(error, ClientError::Platform(PlatformError::AudienceAlone)) {
        return Some("Name it with --issuer".to_owned());
    }
    if let ClientError::Device(error) = error {
        if *error == DeviceError::NotOffered {
            return Some(format!("Sign in with a browser here: hallpass login {url}"));
        }
        return (*error == DeviceError::Expired)
            .then(|| format!("For a new code: hallpass login {url} --device"));
    }
    if matches!(error, ClientError::NobodyThere) {
        return Some(format!("With a browser elsewhere: hallpass login {url} --device"));
    }
    if matches!(error, ClientError::NotProtected) {
        return Some(format!("Use it as it is: hallpass list {url}"));
    }
    let again = "If the page showed an error, just try again: this client will register anew";
    matches!(error, ClientError::NobodyAnswered).then(|| again.to_owned())
}

/// A text that a server chose, where a command to copy may hold it: nothing in it is anything to a shell.
fn plain(text: String) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" :._/-+@".contains(&byte);
    text.bytes().all(plain).then_some(text)
}

fn fetch_fix(url: &str, error: FetchError) -> Option<String> {
    if matches!(error, FetchError::ForbiddenHost | FetchError::ForbiddenAddress) {
        return Some("If this is a host of your own network, name it with --private-host HOST".to_owned());
    }
    if error == FetchError::Connect {
        return Some(format!("Nothing answers at {url}: is the server running, and is the port right?"));
    }
    if error == FetchError::Dns {
        return Some(format!("Check the name in {url}, and whether this computer is online"));
    }
    let FetchError::Tls(why) = error else { return None };
    let fix = match why {
        Distrust::UnknownAuthority | Distrust::OwnAuthority => {
            "If its certificate comes from an authority of your own network, name that with --ca FILE"
        }
        Distrust::Time => "Its operator has to renew it, unless this computer's clock is wrong",
        Distrust::Name => "Check the name in the URL: somebody else may answer for it",
        Distrust::OurCertificate | Distrust::Session => return None,
    };
    Some(fix.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::scope::Scope;

    #[test]
    fn a_server_that_is_not_there_gets_a_way_on() {
        let said = |error| fetch_fix("http://localhost:9/mcp", error).unwrap_or_default();
        assert!(said(FetchError::Connect).contains("is the server running"));
        assert!(said(FetchError::Dns).contains("Check the name"));
        assert!(said(FetchError::Tls(Distrust::UnknownAuthority)).contains("--ca"));
        assert!(said(FetchError::Tls(Distrust::Time)).contains("renew"));
        assert!(!said(FetchError::Tls(Distrust::Name)).contains("--ca"));
        assert!(said(FetchError::ForbiddenAddress).contains("--private-host"));
        assert_eq!(said(FetchError::Timeout), "");
    }

    #[test]
    fn t_60_a_command_to_copy_holds_no_shell_characters() {
        let more = |scope: &str| {
            fix("https://mcp.example/mcp", &ClientError::MoreScopeNeeded(Scope::parse(scope).unwrap()))
        };
        let command = more("files:read a.b/c").unwrap();
        assert_eq!(
            command,
            "Sign in for more: hallpass login https://mcp.example/mcp --scope \"files:read a.b/c\""
        );
        for hostile in ["$(reboot)", "`x`", "a;b", "a|b", "a&b", "!x", "'", "a>b"] {
            assert_eq!(more(hostile), None, "{hostile}");
        }
        let whom = |issuer: &str| fix("https://mcp.example/mcp", &ClientError::SecretForWhom(issuer.into()));
        assert!(whom("https://as.example/a").unwrap().ends_with("--issuer https://as.example/a"));
        assert_eq!(whom("https://as.example/$(reboot)"), None);
    }
}

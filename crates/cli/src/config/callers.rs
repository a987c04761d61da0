//! How much callers may ask of protected servers, how their clients are told that more scope is needed, and whose rules
//! only tell.

use super::{
    Check, Protected,
    clients::ClientsSection,
    file::{Limits as Typed, ServerEntry},
};
use hallpass_gateway::{CallerLimits, ChallengeStyle, Limits, StyleFor};
use toml::Spanned;

impl Check<'_> {
    /// What one caller may ask of a server.
    pub(super) fn callers(&mut self, entry: &ServerEntry) -> CallerLimits {
        CallerLimits {
            calls_per_minute: self.at_least_one(entry.calls_per_minute.as_ref()),
            anonymous_per_minute: self.at_least_one(entry.anonymous_calls_per_minute.as_ref()),
            streams: self.at_least_one(entry.max_streams_per_person.as_ref()),
        }
    }

    /// What a server is told about who calls is for it alone: never for anybody who could ask for tokens of that audience.
    pub(super) fn caller_audience(&mut self, entry: &ServerEntry) -> Option<String> {
        let audience = entry.caller_audience.as_ref()?;
        let text = audience.get_ref();
        if entry.command.is_some() || entry.upstream.is_none() {
            self.wrong(
                audience,
                "caller_audience takes an upstream: a server on stdio gets no headers",
                "remove it",
            );
        } else if text.is_empty()
            || text.len() > 200
            || text.contains("://")
            || !text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            self.wrong(
                audience,
                "caller_audience is the name of the server behind, and no URL that access tokens could be for",
                "write a name of its own, such as \"files.internal\"",
            );
        }
        Some(text.clone())
    }

    /// A number that would let nobody in is a mistake.
    pub(super) fn at_least_one(&mut self, typed: Option<&Spanned<u32>>) -> Option<u32> {
        let typed = typed?;
        if *typed.get_ref() == 0 {
            self.wrong(typed, "nobody could do anything", "write 1 or more, or remove the line");
        }
        Some(*typed.get_ref())
    }

    /// Bounds of one call.
    pub(super) fn gateway_limits(&mut self, typed: &Typed) -> Limits {
        let usual = Limits::default();
        let mut body = usual.body;
        if let Some(kilobytes) = &typed.message_kilobytes {
            match usize::try_from(*kilobytes.get_ref()) {
                Ok(kilobytes @ 1..=65_536) => body = kilobytes * 1024,
                _ => self.wrong(
                    kilobytes,
                    "message_kilobytes must be between 1 and 65536",
                    "write 4096 for the usual 4 MiB",
                ),
            }
        }
        let mut answer_length = usual.answer_length;
        if let Some(megabytes) = &typed.answer_megabytes {
            match u64::from(*megabytes.get_ref()) {
                megabytes @ 1..=4096 => answer_length = megabytes * 1024 * 1024,
                _ => self.wrong(
                    megabytes,
                    "answer_megabytes must be between 1 and 4096",
                    "write 64 for the usual 64 MiB",
                ),
            }
        }
        Limits {
            body,
            answer_length,
            answer: self.duration(typed.answer_time.as_ref(), usual.answer, 1, 86_400),
            keep_alive: self.duration(typed.keep_alive.as_ref(), usual.keep_alive, 1, 3_600),
            ..usual
        }
    }

    /// Clients that an operator knows to look into results.
    pub(super) fn challenge_styles(&mut self, clients: &ClientsSection) -> Vec<StyleFor> {
        let Some(named) = &clients.tool_result_challenges else { return Vec::new() };
        if named.get_ref().iter().any(String::is_empty) {
            self.wrong(named, "an empty client id", "write the client_id, or a pattern with *");
        }
        let style = ChallengeStyle::ToolResult;
        named.get_ref().iter().map(|client| StyleFor { client: client.clone(), style }).collect()
    }

    /// Servers whose rules only tell.
    pub(super) fn dry_run(&mut self, named: &[Spanned<String>], servers: &mut [Protected]) {
        for name in named {
            match servers.iter_mut().find(|server| server.name == *name.get_ref()) {
                Some(server) => server.policy.dry_run = true,
                None => self.wrong(
                    name,
                    format!("rules_dry_run names {:?}, and no [[server]] has this name", name.get_ref()),
                    "write the name of a server, or remove it",
                ),
            }
        }
    }
}

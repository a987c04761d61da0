//! Where a call stands in a trace (W3C Trace Context). What a client says of its own trace is a stranger's text (RS-067): it
//! becomes the parent only where the operator wants that, elsewhere a link, and it decides about nothing else.

use hallpass_core::entropy::{Entropy, random};
use hallpass_resource::head::single;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{fmt::Write, num::NonZeroU64};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How calls are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Whether a client's trace goes on here. Else each call begins one, which links to the client's.
    pub join: bool,
    /// Of how many traces that begin here one is recorded.
    pub one_in: NonZeroU64,
}

/// One span of one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId {
    /// Of the whole trace; never all zero.
    pub trace: [u8; 16],
    /// Of this part of it; never all zero.
    pub span: [u8; 8],
}

impl SpanId {
    /// Trace and span as they are written: in lower-case hexadecimal.
    pub fn texts(&self) -> [String; 2] {
        [hex(&self.trace), hex(&self.span)]
    }
}

/// A call as a part of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its own.
    pub id: SpanId,
    /// What the client named, if anything: the parent where the trace is the same, else a link.
    pub client: Option<SpanId>,
    /// Whether it is recorded. The server behind is told, so that it does the same.
    pub recorded: bool,
}

impl Span {
    /// For a call that begins.
    pub(crate) fn begin(tracing: Tracing, headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        let named = received(headers).and_then(read);
        let span = not_zero(random::<8>(entropy));
        let client = named.map(|(id, _)| id);
        if let Some((parent, recorded)) = named.filter(|_| tracing.join) {
            return Self { id: SpanId { trace: parent.trace, span }, client, recorded };
        }
        let trace = not_zero(random::<16>(entropy));
        // A part of a random number is one too.
        let chosen = |part: &[u8; 8]| u64::from_be_bytes(*part).is_multiple_of(tracing.one_in.get());
        let recorded = trace.last_chunk().is_some_and(chosen);
        Self { id: SpanId { trace, span }, client, recorded }
    }

    /// For the server behind.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let [trace, span] = self.id.texts();
        let flags = if self.recorded { "01" } else { "00" };
        HeaderValue::try_from(format!("00-{trace}-{span}-{flags}")).ok()
    }
}

/// The one header of a request that is well-formed: nothing else may ride on it.
pub(crate) fn received(headers: &HeaderMap) -> Option<&HeaderValue> {
    single(headers, &TRACEPARENT).ok().flatten().filter(|value| read(value).is_some())
}

/// `00-<32 hex>-<16 hex>-<2 hex>` (W3C Trace Context §3.2), of any version that looks so.
fn read(value: &HeaderValue) -> Option<(SpanId, bool)> {
    let text = value.to_str().ok().filter(|text| text.len() == 55)?;
    let mut parts = text.split('-');
    let [version, trace, span, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let [version] = bytes::<1>(version)?;
    let [flags] = bytes::<1>(flags)?;
    let id = SpanId { trace: bytes(trace)?, span: bytes(span)? };
    let good = version != 0xff && id.trace != [0; 16] && id.span != [0; 8];
    good.then_some((id, flags & 1 == 1))
}

/// Lower-case hexadecimal, of exactly so many bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != N * 2 || !text.bytes().all(plain) {
        return None;
    }
    let mut read = [0; N];
    for (at, byte) in read.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(read)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// All zero is no id (§3.2.2.3).
fn not_zero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N]
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::entropy::SystemEntropy;

    const THEIRS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn begun(join: bool, one_in: u64, values: &[&str]) -> Span {
        Span::begin(Tracing { join, one_in: one_in.try_into().unwrap() }, &of(values), &SystemEntropy)
    }

    #[test]
    fn rs_067_a_clients_trace_is_joined_only_where_that_is_wanted() {
        let joined = begun(true, 1, &[THEIRS]);
        let client = joined.client.unwrap();
        assert_eq!(client.texts(), ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"]);
        assert!(joined.id.trace == client.trace && joined.id.span != client.span && joined.recorded);
        let header = joined.header().unwrap();
        assert_eq!(header, *format!("00-{}-01", joined.id.texts().join("-")));
        let linked = begun(false, 1, &[THEIRS]);
        assert!(linked.id.trace != client.trace && linked.client == Some(client) && linked.recorded);
        let quiet = THEIRS.replace("-01", "-00");
        assert!(!begun(true, 1, &[&quiet]).recorded, "the client's word, where it is joined");
        assert!(begun(false, 1, &[&quiet]).recorded, "and nowhere else");
        assert!(begun(true, 1, &[]).client.is_none());
    }

    #[test]
    fn rs_067_what_is_no_trace_is_nothing() {
        for wrong in [
            "",
            "canary",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(received(&of(&[wrong])).is_none(), "{wrong}");
            assert!(begun(true, 1, &[wrong]).client.is_none(), "{wrong}");
        }
        assert!(received(&of(&[THEIRS, THEIRS])).is_none(), "of two, one program takes the first");
        assert!(received(&of(&[THEIRS])).is_some());
    }

    #[test]
    fn one_of_so_many_is_recorded() {
        let recorded = |one_in| (0..4_000).filter(|_| begun(false, one_in, &[]).recorded).count();
        assert_eq!(recorded(1), 4_000);
        let some = recorded(10);
        assert!((250..600).contains(&some), "{some}");
    }
}

//! The body of a request to the token endpoint, and of its neighbours.

use crate::router::Incoming;
use hallpass_core::parameters::{Limits, ParameterError, Parameters};

/// Why a body is not a form.
pub enum FormRefusal {
    /// Not `application/x-www-form-urlencoded`, or two media types at once.
    MediaType,
    /// It cannot be read.
    Parameters(ParameterError),
}

/// Reads a form body; nothing of the query counts (RFC 6749 §2.3.1).
pub fn form(incoming: &Incoming) -> Result<Parameters, FormRefusal> {
    let mut types = incoming.headers.get_all("content-type").iter();
    let content_type = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if types.next().is_some() || !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(FormRefusal::MediaType);
    }
    Parameters::parse(&incoming.body, Limits::default()).map_err(FormRefusal::Parameters)
}

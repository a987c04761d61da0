//! Client credentials in the `Authorization` header (RFC 6749 §2.3.1, RFC 7617).

use crate::{parameters, secret::SecretString};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Longest header value that is read.
const LONGEST: usize = 8192;

/// Id and secret of `Basic base64(urlencode(id) ":" urlencode(secret))`, both not empty; nothing for anything else.
/// Our ids and secrets are unreserved characters, so that clients which forget the inner encoding mean the same.
pub fn credentials(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > LONGEST {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let part = |text| parameters::decode(text).ok().filter(|part| !part.is_empty());
    Some((part(id)?, part(secret)?))
}

/// The header value of a client. Both parts are form-encoded before they are joined: a `:` in an id would move the border
/// (OAuth 2.1 §2.4.1).
pub fn written(client_id: &str, secret: &SecretString) -> SecretString {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    SecretString::new(format!("Basic {}", STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String)> {
        credentials(&format!("Basic {}", STANDARD.encode(text)))
    }

    #[test]
    fn as_125_b_20_basic_in_all_its_spellings() {
        let scheme = |text: &str| credentials(&format!("bAsIc {}", STANDARD.encode(text)));
        assert_eq!(scheme("id:secret"), Some(("id".into(), "secret".into())));
        assert_eq!(scheme("a%3Ab:%25%26+x"), Some(("a:b".into(), "%& x".into())));
        for bad in ["no colon", "a:%zz", "a:%"] {
            assert_eq!(scheme(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (id, secret) in [("id", "secret"), ("i:d", "se&c ret%"), ("ü", "=+/")] {
            let value = written(id, &SecretString::new(secret));
            assert_eq!(credentials(value.expose()), Some((id.into(), secret.into())));
        }
    }

    #[test]
    fn t_25_each_part_is_one_text_whatever_is_in_it() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(read("id:secret"), pair("id", "secret"));
        assert_eq!(read("i%3Ad:se%26c+ret"), pair("i:d", "se&c ret"));
        // Not one parameter and the beginning of the next: `id&x` is not `id`.
        assert_eq!(read("id&x:secret&v=1"), pair("id&x", "secret&v=1"));
        assert_eq!(read("id:se:cret"), pair("id", "se:cret"));
        for bad in ["id", ":secret", "id:", "i%d:secret", "id:%00", "id:%ff"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        for bad in ["Basic", "Basic ", "Basic ???", "Bearer aWQ6c2VjcmV0", " Basic aWQ6c2VjcmV0"] {
            assert_eq!(credentials(bad), None, "{bad}");
        }
        assert_eq!(credentials(&format!("Basic {}", "A".repeat(LONGEST + 4))), None);
    }
}

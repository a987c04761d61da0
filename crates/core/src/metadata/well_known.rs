//! Where metadata is found: functions on the text of URLs, which is never normalised.
//!
//! No suffix of our own: MCP clients ask for the registered ones only (CL-016).

/// RFC 8414 §3.
pub const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
/// OpenID Connect Discovery §4, by which several MCP clients look for an authorization server.
pub const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
/// RFC 9728 §3.
pub const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The URLs at which a client looks for the metadata of an issuer, in order: inserted, OpenID inserted, OpenID
/// appended; the two root forms for an issuer without a path (RFC 8414 §3.1 and §5).
pub fn authorization_server_urls(issuer: &str) -> Vec<String> {
    let (origin, path, _) = split(issuer);
    distinct(authorization_server_paths(path).map(|path| format!("{origin}{path}")))
}

/// The URLs at which the metadata of an issuer of tokens is looked for, in order: as OpenID Connect Discovery §4 has it, which
/// is what platforms publish, then as RFC 8414 §3 has it.
pub fn issuer_urls(issuer: &str) -> [String; 2] {
    let (origin, path, _) = split(issuer);
    let path = without_terminating_slash(path);
    [format!("{origin}{path}{OPENID_CONFIGURATION}"), format!("{origin}{AUTHORIZATION_SERVER}{path}")]
}

/// The URLs at which a client looks for the metadata of a protected resource, in order: the path inserted, then
/// the root (RFC 9728 §3.1). A query stays behind the path.
///
/// For a path with a terminating slash the form that keeps the slash comes first, as RFC 9728 has it, and then the
/// one without, as most servers have it.
pub fn protected_resource_urls(server_url: &str) -> Vec<String> {
    let (origin, path, query) = split(server_url);
    // Only the slash that follows the host is removed by RFC 9728 §3.1.
    let written = if path == "/" { "" } else { path };
    distinct([
        format!("{origin}{PROTECTED_RESOURCE}{written}{query}"),
        format!("{origin}{}{query}", protected_resource_path(path)),
        format!("{origin}{PROTECTED_RESOURCE}"),
    ])
}

/// The paths at which a server publishes the metadata of an issuer with this path: inserted, OpenID inserted,
/// OpenID appended. For an empty path the last two are the same.
pub fn authorization_server_paths(issuer_path: &str) -> [String; 3] {
    let path = without_terminating_slash(issuer_path);
    [
        format!("{AUTHORIZATION_SERVER}{path}"),
        format!("{OPENID_CONFIGURATION}{path}"),
        format!("{path}{OPENID_CONFIGURATION}"),
    ]
}

/// The path at which a server publishes the metadata of a resource with this path.
pub fn protected_resource_path(path: &str) -> String {
    format!("{PROTECTED_RESOURCE}{}", without_terminating_slash(path))
}

/// Origin, path, and query with its `?`; a fragment is left out.
pub(super) fn split(url: &str) -> (&str, &str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| host + at);
    let query = url.find('?').unwrap_or(url.len());
    (
        url.get(..path).unwrap_or(url),
        url.get(path..query).unwrap_or_default(),
        url.get(query..).unwrap_or_default(),
    )
}

/// RFC 8414 §3.1: "any terminating "/" MUST be removed" before insertion.
fn without_terminating_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn distinct<const N: usize>(urls: [String; N]) -> Vec<String> {
    let mut list: Vec<String> = Vec::with_capacity(N);
    for url in urls {
        if !list.contains(&url) {
            list.push(url);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_007_issuers_are_asked_in_this_order() {
        let root = [
            "https://h/.well-known/oauth-authorization-server",
            "https://h/.well-known/openid-configuration",
        ];
        assert_eq!(authorization_server_urls("https://h"), root);
        assert_eq!(authorization_server_urls("https://h/"), root);
        let tenant = [
            "https://h:8/.well-known/oauth-authorization-server/t/1",
            "https://h:8/.well-known/openid-configuration/t/1",
            "https://h:8/t/1/.well-known/openid-configuration",
        ];
        assert_eq!(authorization_server_urls("https://h:8/t/1"), tenant);
        assert_eq!(authorization_server_urls("https://h:8/t/1/"), tenant);
    }

    #[test]
    fn cl_007_nothing_is_normalised() {
        assert_eq!(
            authorization_server_urls("https://H.example:443/A%2fb")[0],
            "https://H.example:443/.well-known/oauth-authorization-server/A%2fb"
        );
    }

    #[test]
    fn cl_002_resources_are_asked_by_path_and_then_at_the_root() {
        let at = |url| protected_resource_urls(url);
        let root = "https://h/.well-known/oauth-protected-resource";
        assert_eq!(at("https://h"), [root]);
        assert_eq!(at("https://h/"), [root]);
        assert_eq!(at("https://h/mcp"), [&format!("{root}/mcp"), root]);
        assert_eq!(at("https://h/mcp/"), [&format!("{root}/mcp/"), &format!("{root}/mcp"), root]);
        assert_eq!(at("https://h/mcp?a=/b"), [&format!("{root}/mcp?a=/b"), root]);
        assert_eq!(at("https://h?a=b"), [&format!("{root}?a=b"), root]);
        assert_eq!(at("https://h/?a=b"), [&format!("{root}?a=b"), root]);
        assert_eq!(at("https://h/mcp#x?y"), [&format!("{root}/mcp"), root]);
    }

    #[test]
    fn as_020_servers_publish_where_clients_look() {
        assert_eq!(
            authorization_server_paths("/t"),
            [
                "/.well-known/oauth-authorization-server/t",
                "/.well-known/openid-configuration/t",
                "/t/.well-known/openid-configuration",
            ]
        );
        assert_eq!(authorization_server_paths("/")[2], "/.well-known/openid-configuration");
        assert_eq!(protected_resource_path("/a/b/"), "/.well-known/oauth-protected-resource/a/b");
        assert_eq!(protected_resource_path(""), "/.well-known/oauth-protected-resource");
    }

    #[test]
    fn b_25_the_path_is_inserted_never_appended() {
        for url in authorization_server_urls("https://h/t") {
            assert_ne!(url, "https://h/t/.well-known/oauth-authorization-server");
        }
    }
}

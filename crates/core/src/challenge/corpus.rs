//! Header lines as they are found in RFCs, in servers and in attacks, and what has to be read from each.

/// Lines of one response, and their challenges: `scheme [token68] name=<value> …`, one challenge per string.
pub(super) type Case = (&'static [&'static str], &'static [&'static str]);

/// Examples of the standards and what MCP servers send.
pub(super) const WELL_FORMED: &[Case] = &[
    (&["Bearer"], &["Bearer"]),
    (&["bearer"], &["bearer"]),
    (&["BEARER realm=\"x\""], &["BEARER realm=<x>"]),
    (&["Bearer realm=\"example\""], &["Bearer realm=<example>"]),
    (
        &[
            "Bearer realm=\"example\", error=\"invalid_token\", error_description=\"The access token expired\"",
        ],
        &["Bearer realm=<example> error=<invalid_token> error_description=<The access token expired>"],
    ),
    (
        &["Bearer resource_metadata=\"https://resource.example.com/.well-known/oauth-protected-resource\""],
        &["Bearer resource_metadata=<https://resource.example.com/.well-known/oauth-protected-resource>"],
    ),
    (
        &[
            "Bearer resource_metadata=\"https://h/.well-known/oauth-protected-resource/mcp\", scope=\"files:read\"",
        ],
        &["Bearer resource_metadata=<https://h/.well-known/oauth-protected-resource/mcp> scope=<files:read>"],
    ),
    (
        &[
            "Bearer error=\"insufficient_scope\", scope=\"a b c\", resource_metadata=\"https://h/m\", error_description=\"More\"",
        ],
        &[
            "Bearer error=<insufficient_scope> scope=<a b c> resource_metadata=<https://h/m> error_description=<More>",
        ],
    ),
    (
        &["Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\", Basic realm=\"simple\""],
        &["Newauth realm=<apps> type=<1> title=<Login to \"apps\">", "Basic realm=<simple>"],
    ),
    (&["Basic realm=\"foo\", charset=\"UTF-8\""], &["Basic realm=<foo> charset=<UTF-8>"]),
    (
        &[
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        ],
        &[
            "Digest realm=<http-auth@example.org> qop=<auth, auth-int> algorithm=<SHA-256> nonce=<7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v> opaque=<FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS>",
        ],
    ),
    (&["DPoP algs=\"ES256 PS256\""], &["DPoP algs=<ES256 PS256>"]),
    (
        &[
            "DPoP error=\"use_dpop_nonce\", error_description=\"Resource server requires nonce in DPoP proof\"",
        ],
        &["DPoP error=<use_dpop_nonce> error_description=<Resource server requires nonce in DPoP proof>"],
    ),
    (
        &["Bearer error=\"invalid_token\", DPoP algs=\"ES256\", error=\"invalid_token\""],
        &["Bearer error=<invalid_token>", "DPoP algs=<ES256> error=<invalid_token>"],
    ),
    (&["Bearer", "DPoP algs=\"ES256\""], &["Bearer", "DPoP algs=<ES256>"]),
    (&["Negotiate", "NTLM", "Bearer scope=\"a\""], &["Negotiate", "NTLM", "Bearer scope=<a>"]),
    (
        &["Negotiate oYG2MIGzoAMKAQChCwYJKoZIgvcSAQICooGeBIGbYIGY=="],
        &["Negotiate [oYG2MIGzoAMKAQChCwYJKoZIgvcSAQICooGeBIGbYIGY==]"],
    ),
    (&["Negotiate a2V5, Bearer scope=\"a\""], &["Negotiate [a2V5]", "Bearer scope=<a>"]),
    (&["Negotiate a-b._~+/9=, Basic realm=\"x\""], &["Negotiate [a-b._~+/9=]", "Basic realm=<x>"]),
    (&["Basic, Bearer"], &["Basic", "Bearer"]),
    (&["Basic , , Bearer , realm=\"x\""], &["Basic", "Bearer realm=<x>"]),
    (
        &["Bearer scope=\"a\",resource_metadata=\"https://h/m\",error=\"invalid_token\""],
        &["Bearer scope=<a> resource_metadata=<https://h/m> error=<invalid_token>"],
    ),
    (&["Bearer x_unknown=\"1\", scope=\"a\", another=2"], &["Bearer x_unknown=<1> scope=<a> another=<2>"]),
    (
        &[
            "HOBA max-age=\"180\", challenge=\"16:MTEyMzEyMzEyMw==1:028:https://www.example.com:8080:3:MTI48:NjgxNDdjOTctNDYxYi00MzEwLWJlOWItNGM3MDcyMzdhYjUz\"",
        ],
        &[
            "HOBA max-age=<180> challenge=<16:MTEyMzEyMzEyMw==1:028:https://www.example.com:8080:3:MTI48:NjgxNDdjOTctNDYxYi00MzEwLWJlOWItNGM3MDcyMzdhYjUz>",
        ],
    ),
    (
        &["Basic realm=\"a\", Bearer realm=\"b\", Digest realm=\"c\""],
        &["Basic realm=<a>", "Bearer realm=<b>", "Digest realm=<c>"],
    ),
];

/// Legal, but where a careless reader goes wrong.
pub(super) const TRICKY: &[Case] = &[
    (&["Bearer scope = \"a\""], &["Bearer scope=<a>"]),
    (&["Bearer scope\t=\t\"a\" , error =invalid_token"], &["Bearer scope=<a> error=<invalid_token>"]),
    (&["Bearer   scope=\"a\""], &["Bearer scope=<a>"]),
    (&["\t Bearer scope=\"a\" \t"], &["Bearer scope=<a>"]),
    (
        &["Bearer SCOPE=\"a\", Resource_Metadata=\"https://h/m\""],
        &["Bearer SCOPE=<a> Resource_Metadata=<https://h/m>"],
    ),
    (&["Bearer realm=\"\", scope=\"a\""], &["Bearer realm=<> scope=<a>"]),
    (
        &["Bearer realm=\"a, Basic realm=\\\"b\\\"\", scope=\"c\""],
        &["Bearer realm=<a, Basic realm=\"b\"> scope=<c>"],
    ),
    (
        &["Bearer error_description=\"use , or = or ;\", scope=\"a\""],
        &["Bearer error_description=<use , or = or ;> scope=<a>"],
    ),
    (&["Bearer error_description=\"\\\\\", scope=\"a\""], &["Bearer error_description=<\\> scope=<a>"]),
    (&["Bearer error_description=\"\\a\\b\\c\", scope=\"a\""], &["Bearer error_description=<abc> scope=<a>"]),
    (
        &["Bearer error_description=\"scope=\\\"evil\\\"\", scope=\"a\""],
        &["Bearer error_description=<scope=\"evil\"> scope=<a>"],
    ),
    (
        &["Bearer error_description=\"resource_metadata=https://evil\", resource_metadata=\"https://h/m\""],
        &["Bearer error_description=<resource_metadata=https://evil> resource_metadata=<https://h/m>"],
    ),
    (&["Bearer scope=\"Bearer scope=x\""], &["Bearer scope=<Bearer scope=x>"]),
    (&["Bearer, scope=\"a\""], &["Bearer scope=<a>"]),
    (&[",,, Bearer scope=\"a\",,"], &["Bearer scope=<a>"]),
    (&["Basic realm=\"Bearer\", Bearer scope=\"a\""], &["Basic realm=<Bearer>", "Bearer scope=<a>"]),
    (&["Bearer scope=\"a\", Bearer scope=\"b\""], &["Bearer scope=<a>", "Bearer scope=<b>"]),
    (&["Negotiate abc=, scope=\"a\""], &["Negotiate [abc=] scope=<a>"]),
    (&["Custom a==b"], &["Custom a=<=b>"]),
    (&["X-Custom!#$%&'*+.^_`|~ a=1"], &["X-Custom!#$%&'*+.^_`|~ a=<1>"]),
    (&["Bearer realm=\"caf\u{e9}\", scope=\"a\""], &["Bearer realm=<caf\u{e9}> scope=<a>"]),
    (&["Bearer realm=\"\u{65e5}\\\u{672c}\""], &["Bearer realm=<\u{65e5}\u{672c}>"]),
];

/// Not legal, and seen.
pub(super) const BROKEN: &[Case] = &[
    (&[""], &[]),
    (&["   "], &[]),
    (&[",,,"], &[]),
    (&["="], &[]),
    (&["\""], &[]),
    (&["\\"], &[]),
    (&["\"Bearer\""], &[]),
    (&["scope=\"a\""], &[]),
    (&["scope=\"a\", Bearer error=\"x\""], &["Bearer error=<x>"]),
    (&["Bearer error=\"a\"", "scope=\"b\""], &["Bearer error=<a>"]),
    (
        &["Bearer realm=\"x\" error=\"invalid_token\" scope=\"a\""],
        &["Bearer realm=<x> error=<invalid_token> scope=<a>"],
    ),
    (
        &["Bearer realm=\"x\"; error=\"invalid_token\"; scope=a"],
        &["Bearer realm=<x> error=<invalid_token> scope=<a>"],
    ),
    (&["Bearer error=invalid_token; scope=a"], &["Bearer error=<invalid_token> scope=<a>"]),
    (
        &["Bearer resource_metadata=https://h/.well-known/oauth-protected-resource?a=b, scope=a"],
        &["Bearer resource_metadata=<https://h/.well-known/oauth-protected-resource?a=b> scope=<a>"],
    ),
    (&["Bearer realm=\"x\", scope=, error=\"invalid_token\""], &["Bearer realm=<x> error=<invalid_token>"]),
    (&["Bearer realm=\"x\", =\"y\", scope=\"a\""], &["Bearer realm=<x> scope=<a>"]),
    (&["Bearer scope=\"a\", resource_metadata=\"https://h/m"], &["Bearer scope=<a>"]),
    (&["Bearer scope=\"a\", error_description=\"x\\"], &["Bearer scope=<a>"]),
    (&["Bearer scope=\"a\", error_description=\"x\\\""], &["Bearer scope=<a>"]),
    (
        &["Bearer error_description=\"he said \"no\" to it\", scope=\"a\""],
        &["Bearer error_description=<he said > scope=<a>"],
    ),
    (
        &["Bearer error_description=\"he said \"yes, or no\" to it\", scope=\"a\""],
        &["Bearer error_description=<he said > scope=<a>"],
    ),
    (&["Bearer: scope=\"a\", Basic realm=\"x\""], &["Basic realm=<x>"]),
    (&["{\"error\":\"invalid_token\"}"], &[]),
    (&["Bearer {\"error\":\"invalid_token\"}, scope=\"a\""], &["Bearer scope=<a>"]),
    (&["Bearer scope='a b'"], &["Bearer scope=<'a>"]),
    (&["Basic Bearer realm=\"x\""], &["Basic"]),
    (&["\u{feff}Bearer scope=\"a\""], &[]),
];

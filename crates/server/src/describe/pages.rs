//! What people see. Programs have no use for these, but whoever puts something in front of the server does.

use super::{
    Described, Description,
    authorization::{CHALLENGE, HINT, KEY, MAX_AGE, METHOD, PROMPT, REDIRECT, RESOURCE, SCOPE, STATE, TYPE},
};
use hallpass_core::openapi::{
    Answer, Field,
    Kind::{OneOf, Text},
    Operation,
};

const GROUP: &str = "pages";
const HTML: &[(&str, Option<&hallpass_core::openapi::Schema>)] = &[("text/html", None)];

const fn answer(status: u16, text: &'static str) -> Answer {
    Answer { status, text, content: HTML, headers: &[] }
}

const fn moved(text: &'static str) -> Answer {
    Answer { status: 303, text, content: &[], headers: &[("Location", "The next page, always one of ours.")] }
}

const UNAVAILABLE: Answer = answer(503, "The store or a place for hashing is not there; the page says so.");
const FOREIGN: Answer = answer(403, "The form did not come from a page of ours.");

const fn field(name: &'static str, required: bool, text: &'static str) -> Field {
    Field { name, kind: Text, required, text, example: "" }
}

const CSRF: Field = field("csrf", true, "Made by the page, bound to the browser.");
const CODE: Field = field("code", true, "Of the one-time link.");
const NAME: Field = field("name", true, "Of the account.");
const PASSWORD: Field = field("password", true, "Of the account.");

const fn both(get: &'static Operation, post: &'static Operation) -> Description {
    Description {
        get: Some(Described { operation: get, codes: &[] }),
        post: Some(Described { operation: post, codes: &[] }),
    }
}

const fn post(operation: &'static Operation) -> Description {
    Description { get: None, post: Some(Described { operation, codes: &[] }) }
}

const fn get(operation: &'static Operation) -> Description {
    Description { get: Some(Described { operation, codes: &[] }), post: None }
}

/// `/authorize`.
pub const AUTHORIZE: Description = get(&Operation {
    id: "authorize",
    summary: "A client sends a person here (RFC 6749 §3.1)",
    text: "The answer to the client is `code` or `error`, with `state` and `iss`, in the query of the redirect URI, by a page that moves on. Until client and redirect URI are known to belong together, nothing goes anywhere: what is wrong is said on a page. Codes of `error`: `invalid_request`, `unsupported_response_type`, `invalid_scope`, `invalid_target`, `access_denied`, `request_not_supported`, `request_uri_not_supported`, `login_required`, `consent_required`. An error that came before any question goes to an https host only with a click of the person, unless an operator made the client.",
    group: GROUP,
    query: &[
        TYPE,
        Field {
            name: "client_id",
            kind: Text,
            required: true,
            text: "An id from registration, or the URL of a metadata document.",
            example: "https://client.example/metadata.json",
        },
        Field {
            name: "request_uri",
            kind: Text,
            required: false,
            text: "Of a pushed request (RFC 9126), which then counts alone, with `client_id`.",
            example: "",
        },
        REDIRECT,
        CHALLENGE,
        METHOD,
        KEY,
        STATE,
        SCOPE,
        RESOURCE,
        PROMPT,
        MAX_AGE,
        HINT,
    ],
    answers: &[
        answer(
            200,
            "The sign-in, the question to the person, or a page that moves on to the client with the answer.",
        ),
        answer(403, "The operator does not want this client."),
        answer(502, "The client's metadata document cannot be reached."),
        UNAVAILABLE,
    ],
    security: &["", "session"],
    ..Operation::NONE
});

/// `/consent`.
pub const CONSENT: Description = post(&Operation {
    id: "consent",
    summary: "The person's answer",
    group: GROUP,
    form: &[
        CSRF,
        field("page", true, "What was shown, sealed."),
        Field {
            name: "decision",
            kind: OneOf(&["allow", "deny"]),
            required: true,
            text: "Which button.",
            example: "",
        },
    ],
    answers: &[
        answer(200, "A page that moves on to the client."),
        moved("To the question again, where something has changed since it was shown."),
        FOREIGN,
        UNAVAILABLE,
    ],
    security: &["session"],
    ..Operation::NONE
});

/// `/sign-in`.
pub const SIGN_IN: Description = both(
    &Operation {
        id: "signInPage",
        summary: "The sign-in",
        group: GROUP,
        answers: &[answer(200, "The form."), UNAVAILABLE],
        ..Operation::NONE
    },
    &Operation {
        id: "signIn",
        summary: "Signs in with name and password, or at a provider",
        group: GROUP,
        form: &[
            CSRF,
            field("waiting", true, "Where to go on, sealed."),
            field("name", false, "Of the account, with a password."),
            field("password", false, "Of the account."),
            field("provider", false, "Where to sign in, in place of name and password."),
        ],
        answers: &[
            answer(200, "A page that moves on to the provider."),
            answer(502, "The provider cannot be asked."),
            moved(
                "Where it goes on, with a session; to the page of the second factor, where one is asked for.",
            ),
            answer(401, "Not this name and password; the same for every reason."),
            FOREIGN,
            UNAVAILABLE,
        ],
        ..Operation::NONE
    },
);

const TOO_MANY: Answer = answer(429, "Too many wrong codes for this account, or tries from this address.");

/// `/sign-in/code`.
pub const SECOND_FACTOR_CODE: Description = both(
    &Operation {
        id: "secondFactorCodePage",
        summary: "Where a code is typed after the first factor, or an authenticator app is set up",
        text: "For a browser that has just passed the first factor, for ten minutes. Until a code was right there is no session, and nothing is kept of it but a cookie.",
        group: GROUP,
        query: &[field("with", false, "`recovery` for a recovery code.")],
        answers: &[
            answer(
                200,
                "The form; with the secret for the app, where everybody needs a second factor and the person has none.",
            ),
            answer(403, "Nobody has passed the first factor here, or too long ago: the sign-in."),
            UNAVAILABLE,
        ],
        ..Operation::NONE
    },
    &Operation {
        id: "secondFactorCode",
        summary: "Finishes a sign-in with a code (RFC 6238) or a recovery code",
        group: GROUP,
        form: &[
            CSRF,
            field("code", true, "Six digits, or a recovery code."),
            field("with", false, "`recovery` for a recovery code."),
        ],
        answers: &[
            answer(200, "The recovery codes, where a second factor was set up; with a session."),
            moved("Where it goes on, with a session."),
            answer(401, "Not this code, or it was used."),
            FOREIGN,
            answer(409, "A second factor was turned on in another window meanwhile."),
            TOO_MANY,
            UNAVAILABLE,
        ],
        ..Operation::NONE
    },
);

/// `/account/second-factor`.
pub const SECOND_FACTOR: Description = both(
    &Operation {
        id: "secondFactorPage",
        summary: "The second factor of the person: what an authenticator app is given, or what can be changed",
        group: GROUP,
        answers: &[
            answer(200, "The page."),
            moved("To the sign-in."),
            answer(403, "The sign-in is too long ago: the form to sign in once more."),
            answer(404, "The operator offers none, and the person has none."),
            UNAVAILABLE,
        ],
        security: &["session"],
        ..Operation::NONE
    },
    &Operation {
        id: "secondFactor",
        summary: "Turns a second factor on or off, puts another app in its place, or makes new recovery codes",
        text: "Shortly after a sign-in only, and with a code: of the app that is given the secret for `on`, of the one that has it for everything else.",
        group: GROUP,
        form: &[
            CSRF,
            Field {
                name: "action",
                kind: OneOf(&["on", "replace", "codes", "off"]),
                required: true,
                text: "What to do.",
                example: "",
            },
            field("code", true, "Six digits; or a recovery code, but for `on`."),
        ],
        answers: &[
            answer(200, "The recovery codes, shown once."),
            moved("Turned off, or to the page with the secret for another app."),
            answer(401, "Not this code, or it was used."),
            answer(
                403,
                "The form did not come from a page of ours, the sign-in is too long ago, or everybody needs a second factor here.",
            ),
            answer(404, "The operator offers none, and the person has none."),
            answer(409, "It was changed in another window meanwhile."),
            TOO_MANY,
            UNAVAILABLE,
        ],
        security: &["session"],
        ..Operation::NONE
    },
);

/// `/sign-in/callback/{provider}`.
pub const SIGN_IN_CALLBACK: Description = get(&Operation {
    id: "signInCallback",
    summary: "A provider answers (OpenID Connect Core §3.1.2.5)",
    text: "Used by the browser that asked, within ten minutes, once. It signs in, or links what the person has there to the account that is signed in. It is never a consent.",
    group: GROUP,
    query: &[
        field("state", false, "Ours."),
        field("code", false, "The answer."),
        field("iss", false, "Who answers (RFC 9207)."),
        field("error", false, "The other answer."),
    ],
    answers: &[
        moved(
            "Where it goes on, with a session; to the page of the second factor, where one is asked for; to the account, where it was linked.",
        ),
        answer(403, "Another browser asked, or nobody did; or the person may not sign in here."),
        answer(404, "There is no such provider."),
        answer(429, "Too many sign-ins from this address."),
        answer(502, "The provider did not say who it is."),
        UNAVAILABLE,
    ],
    ..Operation::NONE
});

/// `/sign-out`.
pub const SIGN_OUT: Description = post(&Operation {
    id: "signOut",
    summary: "Ends the session of this browser",
    group: GROUP,
    form: &[CSRF, field("query", false, "The authorization request to go on with, for another account.")],
    answers: &[moved("To the sign-in."), FOREIGN, UNAVAILABLE],
    security: &["session"],
    ..Operation::NONE
});

/// `/setup`.
pub const SETUP: Description = both(
    &Operation {
        id: "setupPage",
        summary: "Makes the first account, with the link that the program prints",
        group: GROUP,
        query: &[field("code", false, "Of the one-time link.")],
        answers: &[answer(200, "The form."), moved("There is an account already."), UNAVAILABLE],
        ..Operation::NONE
    },
    &Operation {
        id: "setup",
        summary: "Makes the first account",
        group: GROUP,
        form: &[CSRF, CODE, NAME, PASSWORD],
        answers: &[
            moved("Signed in; or to the page of the second factor, where everybody needs one."),
            answer(403, "The link was used, has expired or is not complete."),
            UNAVAILABLE,
        ],
        ..Operation::NONE
    },
);

/// `/invitation`.
pub const INVITATION: Description = both(
    &Operation {
        id: "invitationPage",
        summary: "Sets a password, with a link from the operator",
        group: GROUP,
        query: &[field("code", true, "Of the one-time link.")],
        answers: &[answer(200, "The form."), answer(403, "The link is not good any more."), UNAVAILABLE],
        ..Operation::NONE
    },
    &Operation {
        id: "invitation",
        summary: "Sets the password and signs in",
        group: GROUP,
        form: &[CSRF, CODE, PASSWORD],
        answers: &[
            moved(
                "Signed in; or to the page of the second factor, which another password does not take away.",
            ),
            answer(403, "The link is not good any more."),
            UNAVAILABLE,
        ],
        ..Operation::NONE
    },
);

/// `/account`.
pub const ACCOUNT: Description = both(
    &Operation {
        id: "accountPage",
        summary: "What the person allowed, and where they are signed in",
        group: GROUP,
        query: &[field("before", false, "The last grant of the page before.")],
        answers: &[
            answer(200, "The grants and the browsers, newest first."),
            moved("To the sign-in."),
            UNAVAILABLE,
        ],
        security: &["session"],
        ..Operation::NONE
    },
    &Operation {
        id: "account",
        summary: "Takes access back, ends a session, or changes where the person may sign in",
        group: GROUP,
        form: &[
            CSRF,
            Field {
                name: "action",
                kind: OneOf(&["revoke", "end", "everywhere", "link", "unlink"]),
                required: true,
                text: "One grant, one session, or all of them; or one provider.",
                example: "",
            },
            field("grant", false, "Which, with `revoke`."),
            field("session", false, "Which, with `end`."),
            field("provider", false, "Which, with `link` and `unlink`."),
        ],
        answers: &[
            answer(200, "A page that moves on to the provider."),
            moved("Done."),
            answer(502, "The provider cannot be asked."),
            FOREIGN,
            UNAVAILABLE,
        ],
        security: &["session"],
        ..Operation::NONE
    },
);

/// `/account/connections`.
pub const CONNECTIONS: Description = both(
    &Operation {
        id: "connectionsPage",
        summary: "The services of third parties that the person connected, or can",
        text: "A client's prompt leads here, with a link that is good for the person whose call it was, for an hour.",
        group: GROUP,
        query: &[
            field("link", false, "Of a client's prompt."),
            field("connected", false, "What was connected just now."),
        ],
        answers: &[
            answer(200, "The services, or the sign-in before them."),
            answer(403, "The link is for another person."),
            UNAVAILABLE,
        ],
        security: &["session"],
        ..Operation::NONE
    },
    &Operation {
        id: "connections",
        summary: "Begins to connect a service, or disconnects one",
        group: GROUP,
        form: &[
            CSRF,
            Field {
                name: "action",
                kind: OneOf(&["connect", "disconnect"]),
                required: true,
                text: "What to do.",
                example: "",
            },
            field("connection", true, "Which service."),
        ],
        answers: &[
            answer(200, "A page that moves on to the service."),
            moved("Disconnected."),
            answer(502, "The service cannot be asked."),
            FOREIGN,
            UNAVAILABLE,
        ],
        security: &["session"],
        ..Operation::NONE
    },
);

/// `/account/connections/callback/{connection}`.
pub const CONNECTION_CALLBACK: Description = get(&Operation {
    id: "connectionCallback",
    summary: "A service answers (RFC 6749 §4.1.2)",
    text: "Used by the browser that asked, with its session and its person, once.",
    group: GROUP,
    query: &[
        field("state", false, "Ours."),
        field("code", false, "The answer."),
        field("iss", false, "Who answers (RFC 9207)."),
        field("error", false, "The other answer."),
    ],
    answers: &[
        moved("Connected."),
        answer(403, "Another browser, session or person asked, or nobody did."),
        answer(404, "There is no such service."),
        answer(502, "The service gave no tokens."),
        UNAVAILABLE,
    ],
    security: &["session"],
    ..Operation::NONE
});

/// `/`.
pub const START: Description = get(&Operation {
    id: "start",
    summary: "Where a browser goes that came without a path",
    group: GROUP,
    answers: &[moved("To the account, or to the setup while there is nobody."), UNAVAILABLE],
    ..Operation::NONE
});

/// `/device`.
pub const DEVICE: Description = both(
    &Operation {
        id: "devicePage",
        summary: "A person types the code of a device (RFC 8628 §3.3)",
        text: "Then the page waits until the device has polled, says who that is and from which address, and asks. It loads itself again every few seconds meanwhile (`Refresh`).",
        group: GROUP,
        query: &[field("user_code", false, "The code, to be compared and confirmed.")],
        answers: &[
            answer(200, "The form, the sign-in before it, or what became of the code."),
            answer(404, "The operator switched it off."),
            UNAVAILABLE,
        ],
        ..Operation::NONE
    },
    &Operation {
        id: "deviceForm",
        summary: "The code, or the answer to the question",
        group: GROUP,
        form: &[
            CSRF,
            field("user_code", false, "The code, as typed."),
            field("page", false, "What the question showed, sealed."),
            Field {
                name: "decision",
                kind: OneOf(&["allow", "deny"]),
                required: false,
                text: "With `page`.",
                example: "",
            },
        ],
        answers: &[
            answer(200, "The code was used in two places."),
            moved("Typed or decided: what became of it is on the next page."),
            FOREIGN,
            answer(404, "The operator switched it off."),
            UNAVAILABLE,
        ],
        ..Operation::NONE
    },
);

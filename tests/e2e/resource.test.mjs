// The examples of `hallpass-resource`, run beside the program: servers that check its tokens themselves, so that it signs people
// in for them and is not in the way of their calls.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { auth } from '@modelcontextprotocol/sdk/client/auth.js';
import { byHand } from './lib/client.mjs';
import { everything, example, serve } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { initialize, refusedAfter } from './lib/mcp.mjs';
import { folder, freePort, start } from './lib/programs.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';
import { Session, SETTINGS } from './lib/session.mjs';

const LIMIT = { timeout: 240_000 };
const SECRET = 'the-secret-of-the-notes-server';

for (const [at, sdk] of SDKS.entries()) {
  test(`rs_010 ${sdk.name} at the example rmcp_server`, LIMIT, async (t) => {
    const notes = await notesServer(t, SETTINGS[at]);
    const session = new Session(sdk, notes);
    await session.connect();
    const { tools } = await session.client.listTools();
    assert.deepEqual(tools.map(({ name }) => name).sort(), ['add_note', 'read_notes', 'whoami']);
    const who = await session.call(['whoami', {}, 'notes:read']);
    assert.ok(who.endsWith(` through ${session.kept.client.client_id}`), who);
    assert.equal(await session.call(['read_notes', {}, 'notes:read']), '');
    assert.equal(session.signIns, 1);
    assert.equal(await session.call(['add_note', { text: 'Buy milk' }, 'notes:read notes:write']), 'Note 1 is kept.');
    assert.equal(await session.call(['read_notes', {}, 'notes:read notes:write']), 'Buy milk');
    assert.equal(session.signIns, 2, 'for the tool that takes more, and then no more');
    assert.equal(await session.call(['whoami', {}, 'notes:read notes:write']), who, 'it is the same person with the same client');
    await session.client.close();
  });
}

test('rs_001 rs_007 rs_053 t_53 t_70 what the example rmcp_server refuses', LIMIT, async (t) => {
  const notes = await notesServer(t);
  await asksForSignIn(notes, 'notes:read');
  const stranger = await tokenFor(t, notes, `${notes.issuer}/mcp`);
  assert.equal((await initialize(`${notes.issuer}/mcp`, stranger)).status, 200);
  await refusesToken(notes.url, stranger);

  const token = await tokenFor(t, notes, notes.url);
  const call = (name, more = {}) => post(notes.url, token, { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name, arguments: {} } }, more);
  assert.equal((await call('read_notes')).status, 200);
  const unknown = await call('delete_notes');
  assert.equal(unknown.status, 403);
  assert.equal(unknown.headers['www-authenticate'], undefined, 'nobody is sent to sign in for what no scope opens');
  assert.equal(JSON.parse(unknown.text).id, 7);
  assert.equal((await call('read_notes', { host: 'evil.example' })).status, 403, 'a name that was rebound to this machine');
  const twice = await exchange(notes.url, {
    method: 'POST',
    headers: { ...JSON_HEADERS, authorization: `Bearer ${token}` },
    body: '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"add_note","arguments":{"text":"x"}}}',
  });
  assert.equal(twice.status, 400, twice.text);
});

test('rs_032 as_207 what is taken back ends at the example rmcp_server within a second', LIMIT, async (t) => {
  const notes = await notesServer(t);
  const session = new Session(SDKS[1], notes);
  await session.connect();
  await session.call(['whoami', {}, 'notes:read']);
  const { tokens, client } = session.kept;
  assert.equal((await initialize(notes.url, tokens.access_token)).status, 200);
  const form = new URLSearchParams({ token: tokens.refresh_token, client_id: client.client_id }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  assert.equal((await exchange(`${notes.issuer}/revoke`, { method: 'POST', headers, body: form })).status, 200);
  const took = await refusedAfter(notes.url, tokens.access_token, 30);
  // Half a second is what it waits; the rest is for a machine that has much to do.
  assert.ok(took < 1500, `refused after ${took} ms`);
  await refusesToken(notes.url, tokens.access_token);
  await session.client.close();
});

test('rs_001 rs_007 rs_010 t_70 the example axum', LIMIT, async (t) => {
  const port = await freePort();
  const url = `http://localhost:${port}/hello`;
  const after = `
[[resource]]
url = "${url}"
title = "Hello"
scopes = [{ name = "hello", title = "Be greeted" }, { name = "other", title = "Something else" }]
`;
  const hallpass = { ...(await serve(t, { upstream: await everything(t), after })), url };
  await start(t, example('axum'), [hallpass.issuer, url, `127.0.0.1:${port}`]).says(/^LISTENING http:\S+$/m);
  await asksForSignIn(hallpass, undefined);
  await refusesToken(url, await tokenFor(t, hallpass, `${hallpass.issuer}/mcp`));

  const provider = new Provider();
  assert.equal(await auth(provider, { serverUrl: url }), 'REDIRECT');
  const redirect = await hallpass.person.authorize(provider.kept.authorizationUrl.href);
  assert.equal(await auth(provider, { serverUrl: url, authorizationCode: redirect.searchParams.get('code') }), 'AUTHORIZED');
  const { access_token } = provider.tokens();
  const greeted = await post(url, access_token, {});
  assert.equal(greeted.status, 200, greeted.text);
  assert.match(greeted.text, /^hello for \S+, through \S+$/);
  assert.ok(greeted.text.endsWith(provider.kept.client.client_id), greeted.text);

  const lacking = await post(url, await tokenFor(t, hallpass, url, 'other'), {});
  assert.equal(lacking.status, 403);
  assert.match(lacking.headers['www-authenticate'], /error="insufficient_scope".* scope="hello"|scope="hello".*error="insufficient_scope"/);

  // Behind a proxy it listens where it likes: what counts is the URL that clients use.
  const [, elsewhere] = await start(t, example('axum'), [hallpass.issuer, url, '127.0.0.1:0']).says(/^LISTENING (http:\S+)$/m);
  assert.notEqual(new URL(elsewhere).port, '0');
  assert.equal((await post(`${elsewhere}/hello`, access_token, {})).text, greeted.text);
});

const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

function post(url, token, message, more = {}) {
  const headers = { ...JSON_HEADERS, ...(token && { authorization: `Bearer ${token}` }), ...more };
  return exchange(url, { method: 'POST', headers, body: JSON.stringify(message) });
}

/** hallpass, and the example that has notes. */
async function notesServer(t, more = '') {
  const port = await freePort();
  const url = `http://localhost:${port}/mcp`;
  const secret = join(folder(t), 'notes.secret');
  writeFileSync(secret, `${SECRET}\n`, { mode: 0o600 });
  const after = `
[[client]]
id = "notes-server"
name = "Notes"
auth = "client_secret_basic"
secret_file = ${JSON.stringify(secret)}
grant_types = []
[[resource]]
url = "${url}"
title = "Notes"
scopes = [{ name = "notes:read", title = "Read your notes" }, { name = "notes:write", title = "Write notes" }]
introspection_clients = ["notes-server"]
`;
  const hallpass = await serve(t, { upstream: await everything(t), more, after });
  const program = start(t, example('rmcp_server'), [hallpass.issuer, url, `127.0.0.1:${port}`, secret]);
  const [, listening] = await program.says(/^LISTENING http:\/\/127\.0\.0\.1:(\d+)$/m);
  assert.equal(Number(listening), port);
  return { ...hallpass, url };
}

/** An access token for one of its resources, with all scopes or these. */
async function tokenFor(t, hallpass, resource, scope) {
  const client = await byHand(t);
  const page = new URL(await client.authorizationUrl({ issuer: hallpass.issuer, url: resource }));
  if (scope) page.searchParams.set('scope', scope);
  const redirect = await hallpass.person.authorize(page.href);
  return (await client.redeem(redirect.searchParams.get('code'))).access_token;
}

/** Who has no token is told where to get one, and the document there says the same. */
async function asksForSignIn({ url, issuer }, scope) {
  const answer = await post(url, undefined, {});
  assert.equal(answer.status, 401);
  const challenge = answer.headers['www-authenticate'];
  assert.equal(challenge.match(/scope="([^"]+)"/)?.[1], scope);
  assert.doesNotMatch(challenge, /error=/);
  const [, at] = challenge.match(/^Bearer resource_metadata="([^"]+)"/);
  const document = await exchange(at);
  assert.equal(document.status, 200);
  const { resource, authorization_servers } = JSON.parse(document.text);
  assert.deepEqual({ resource, authorization_servers }, { resource: url, authorization_servers: [issuer] });
}

async function refusesToken(url, token) {
  const answer = await post(url, token, {});
  assert.equal(answer.status, 401);
  assert.match(answer.headers['www-authenticate'], /error="invalid_token"/);
}

// Tokens that are bound to a key (DPoP, RFC 9449), with nonces and without. Clients of others, unmodified: `openid-client`,
// a certified relying party, and the official TypeScript client of MCP; and our own, which needs to be told nothing.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DpopSession } from '@modelcontextprotocol/client';
import { Client as StdioClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import * as relying from 'openid-client';
import { commands, signIn } from './lib/commands.mjs';
import { binary, everything, serve } from './lib/hallpass.mjs';
import { initialize, refusedAfter } from './lib/mcp.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };
const REDIRECT = 'http://127.0.0.1:33988/callback';
const OPTIONS = { execute: [relying.allowInsecureRequests], algorithm: 'oauth2' };
const KINDS = [
  ['offered', ''],
  ['with nonces', '[dpop]\nnonces = true'],
  ['required, with nonces', '[dpop]\nmode = "required"\nnonces = true'],
];
const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'relying', version: '1' } },
});

test('clients with bound tokens', LIMIT, async (t) => {
  const upstream = await everything(t);
  for (const [kind, more] of KINDS) {
    const hallpass = await serve(t, { upstream, more });
    for (const algorithm of ['ES256', 'Ed25519', 'RS256']) {
      await t.test(`openid-client, ${kind}, ${algorithm}`, LIMIT, () => relyingParty(hallpass, algorithm));
    }
    await t.test(`the official client, ${kind}`, LIMIT, () => official(hallpass));
  }
});

async function relyingParty({ issuer, url, person }, algorithm) {
  const metadata = { redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none', dpop_bound_access_tokens: true, grant_types: ['authorization_code', 'refresh_token'] };
  const config = await relying.dynamicClientRegistration(new URL(issuer), metadata, undefined, OPTIONS);
  assert.equal(config.clientMetadata().dpop_bound_access_tokens, true);
  assert.ok(config.serverMetadata().dpop_signing_alg_values_supported.includes(algorithm));
  const key = await relying.randomDPoPKeyPair(algorithm);
  const DPoP = relying.getDPoPHandle(config, key);
  const verifier = relying.randomPKCECodeVerifier();
  const authorization = relying.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    scope: 'mcp',
    resource: url,
    state: 'a-state',
    dpop_jkt: await DPoP.calculateThumbprint(),
    code_challenge: await relying.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const answered = await person.authorize(authorization.href);
  const checks = { pkceCodeVerifier: verifier, expectedState: 'a-state' };
  const tokens = await relying.authorizationCodeGrant(config, answered, checks, { resource: url }, { DPoP });
  assert.equal(tokens.token_type, 'dpop');
  await uses(config, url, tokens.access_token, DPoP);

  const next = await relying.refreshTokenGrant(config, tokens.refresh_token, { resource: url }, { DPoP });
  assert.equal(next.token_type, 'dpop');
  await uses(config, url, next.access_token, DPoP);
  // A thief has the tokens and not the key.
  assert.equal((await initialize(url, next.access_token)).status, 401);
  const stolen = relying.getDPoPHandle(config, await relying.randomDPoPKeyPair(algorithm));
  await assert.rejects(relying.refreshTokenGrant(config, next.refresh_token, {}, { DPoP: stolen }), { error: 'invalid_grant' });
  await assert.rejects(relying.refreshTokenGrant(config, next.refresh_token), { error: 'invalid_dpop_proof' });
  await assert.rejects(uses(config, url, next.access_token, stolen));
  // None of which cost the client anything.
  const last = await relying.refreshTokenGrant(config, next.refresh_token, {}, { DPoP });
  await relying.tokenRevocation(config, last.refresh_token);
  await assert.rejects(relying.refreshTokenGrant(config, last.refresh_token, {}, { DPoP }), { error: 'invalid_grant' });
}

async function uses(config, url, token, DPoP) {
  const headers = new Headers({ 'content-type': 'application/json', accept: 'application/json, text/event-stream' });
  const answer = await relying.fetchProtectedResource(config, token, new URL(url), 'POST', INITIALIZE, headers, { DPoP });
  assert.equal(answer.status, 200, await answer.text());
}

/** The official client, as its documentation says: a provider with a session for proofs. */
class BoundProvider extends Provider {
  #session = DpopSession.create();

  dpop() {
    return this.#session;
  }
}

async function official(hallpass) {
  const sdk = SDKS[1];
  const provider = new BoundProvider();
  const connect = async () => {
    const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
    const transport = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
    return { client, transport };
  };
  const first = await connect();
  await assert.rejects(first.client.connect(first.transport), sdk.UnauthorizedError);
  const redirect = await hallpass.person.authorize(provider.kept.authorizationUrl.href);
  await sdk.finish(first.transport, redirect);
  assert.equal(provider.kept.tokens.token_type.toLowerCase(), 'dpop');
  const { client, transport } = await connect();
  await client.connect(transport);
  const call = async (message) => (await sdk.callTool(client, { name: 'echo', arguments: { message } })).content[0].text;
  assert.equal(await call('bound'), 'Echo: bound');
  // It refreshes when it is refused, and goes on with the same key.
  const before = provider.kept.tokens.access_token;
  provider.kept.tokens = { ...provider.kept.tokens, access_token: `${before}x` };
  assert.equal(await call('again'), 'Echo: again');
  assert.notEqual(provider.kept.tokens.access_token, before);
  const stolen = provider.kept.tokens.access_token;
  assert.equal((await initialize(hallpass.url, stolen)).status, 401, 'of no use as a bearer token');
  await client.close();
  assert.ok(await refusedAfter(hallpass.url, stolen, 5) < 5000);
}

test('hallpass login, call, connect where only bound tokens are taken', LIMIT, async (t) => {
  const upstream = await everything(t);
  const { url, issuer, person } = await serve(t, { upstream, more: '[dpop]\nmode = "required"\nnonces = true' });
  const hallpass = commands(t);
  const authorizationUrl = await signIn(hallpass.begin('login', '--no-browser', url), issuer, person);
  assert.match(authorizationUrl, /dpop_jkt=/);

  const call = await hallpass('call', url, 'tools/call', JSON.stringify({ name: 'echo', arguments: { message: 'hi' } }));
  assert.equal(call.code, 0, call.output);
  assert.match(call.stdout, /Echo: hi/);

  const transport = new StdioClientTransport({ command: binary(), args: ['connect', '--no-browser', url], env: hallpass.env, stderr: 'pipe' });
  const client = new StdioClient({ name: 'stdio only', version: '1' });
  await client.connect(transport);
  assert.ok((await client.listTools()).tools.length > 0);
  await client.close();

  // The key stays where it is, and the token is of no use without it.
  const token = await hallpass('token', url);
  assert.equal(token.code, 1, token.output);
  assert.equal(token.stdout, '');
  assert.match(token.output, /hallpass connect/);
  for (const file of readdirSync(hallpass.env.XDG_DATA_HOME, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())) {
    const path = join(file.parentPath, file.name);
    assert.equal(statSync(path).mode & 0o077, 0, path);
    assert.doesNotMatch(readFileSync(path, 'latin1'), /"d":|PRIVATE KEY/, path);
  }
  const logout = await hallpass('logout', url);
  assert.equal(logout.code, 0, logout.output);
});

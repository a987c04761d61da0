// A client library that knows nothing of MCP, unmodified: `openid-client`, a certified relying party.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as client from 'openid-client';
import { everything, run } from './lib/hallpass.mjs';
import { initialize, refusedAfter } from './lib/mcp.mjs';

const LIMIT = { timeout: 180_000 };
const REDIRECT = 'http://127.0.0.1:33988/callback';
const METHODS = ['none', 'client_secret_basic', 'client_secret_post'];
// The one thing that it has to be told: this issuer has no TLS, and its metadata is RFC 8414's.
const OPTIONS = { execute: [client.allowInsecureRequests], algorithm: 'oauth2' };

test('openid-client', LIMIT, async (t) => {
  const hallpass = await run(t, { upstream: await everything(t) });
  await t.test('as_178 signs a device in', LIMIT, () => onDevice(hallpass));
  for (const method of METHODS) {
    await t.test(`with ${method} discovers, registers, signs in, refreshes and revokes`, LIMIT, () => story(hallpass, method));
    await t.test(`as_198 with ${method} pushes its request`, LIMIT, () => pushed(hallpass, method));
  }
});

/** A device asks, a person decides elsewhere, and each answer is what the library expects. */
async function onDevice({ issuer, url, person }) {
  const grants = ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'];
  const config = await register(issuer, 'none', { redirect_uris: undefined, client_name: 'A television', grant_types: grants, response_types: [] });
  const device = await client.initiateDeviceAuthorization(config, { scope: 'mcp', resource: url });
  assert.equal(device.verification_uri, `${issuer}/device`);
  const polled = client.pollDeviceAuthorizationGrant(config, device);
  const asked = await person.letIn(issuer, device.user_code);
  assert.match(asked.words, /calls itself A television/);
  assert.match(asked.words, new RegExp(device.user_code));
  const tokens = await polled;
  assert.equal((await initialize(url, tokens.access_token)).status, 200);
  const next = await client.refreshTokenGrant(config, tokens.refresh_token, { resource: url });
  assert.equal((await initialize(url, next.access_token)).status, 200);

  const refused = await client.initiateDeviceAuthorization(config, { scope: 'mcp', resource: url });
  const end = assert.rejects(client.pollDeviceAuthorizationGrant(config, refused), { error: 'access_denied' });
  await person.letIn(issuer, refused.user_code, 'deny');
  await end;
}

function register(issuer, method, more = {}) {
  const metadata = { redirect_uris: [REDIRECT], client_name: 'openid-client', token_endpoint_auth_method: method, grant_types: ['authorization_code', 'refresh_token'], ...more };
  return client.dynamicClientRegistration(new URL(issuer), metadata, undefined, OPTIONS);
}

/** Only what was pushed counts, and it counts for one grant. */
async function pushed({ issuer, url, person }, method) {
  const config = await register(issuer, method, { require_pushed_authorization_requests: true });
  const [verifier, state] = [client.randomPKCECodeVerifier(), client.randomState()];
  const parameters = {
    redirect_uri: REDIRECT, scope: 'mcp', resource: url, state, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  };
  const page = await client.buildAuthorizationUrlWithPAR(config, parameters);
  assert.deepEqual([...page.searchParams.keys()].sort(), ['client_id', 'request_uri']);
  page.searchParams.set('scope', 'other');
  page.searchParams.set('redirect_uri', 'https://evil.example/');
  const answered = await person.authorize(page.href);
  const tokens = await client.authorizationCodeGrant(config, answered, { pkceCodeVerifier: verifier, expectedState: state }, { resource: url });
  assert.equal(tokens.scope, 'mcp');
  assert.equal((await initialize(url, tokens.access_token)).status, 200);

  await assert.rejects(person.authorize(page.href), /no longer valid/);
  const direct = await person.authorize(client.buildAuthorizationUrl(config, parameters).href);
  assert.equal(direct.searchParams.get('error'), 'invalid_request');
  await assert.rejects(client.buildAuthorizationUrlWithPAR(config, { ...parameters, scope: 'other' }), { error: 'invalid_scope' });
}

async function story({ issuer, url, person }, method) {
  const config = await register(issuer, method);
  assert.equal(config.serverMetadata().issuer, issuer);
  assert.equal(config.clientMetadata().token_endpoint_auth_method, method);

  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const authorization = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    scope: 'mcp',
    resource: url,
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const answered = await person.authorize(authorization.href);
  // It checks `state` and, because the metadata promises it, `iss`.
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  const tokens = await client.authorizationCodeGrant(config, answered, checks, { resource: url });
  assert.equal((await initialize(url, tokens.access_token)).status, 200);

  const next = await client.refreshTokenGrant(config, tokens.refresh_token, { resource: url });
  assert.notEqual(next.refresh_token, tokens.refresh_token);
  assert.equal((await initialize(url, next.access_token)).status, 200);
  await assert.rejects(client.refreshTokenGrant(config, next.refresh_token, { scope: 'mcp other' }), { error: 'invalid_scope' });

  await client.tokenRevocation(config, next.refresh_token);
  const took = await refusedAfter(url, next.access_token, 30);
  assert.ok(took < 5000, `refused after ${took} ms`);
  await assert.rejects(client.refreshTokenGrant(config, next.refresh_token), { error: 'invalid_grant' });
}

// Machines: `openid-client`, unmodified, gets tokens with each method that the metadata offers, and the gateway takes them.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as client from 'openid-client';
import { everything, serve } from './lib/hallpass.mjs';
import { initialize, refusedAfter } from './lib/mcp.mjs';
import { folder } from './lib/programs.mjs';

const LIMIT = { timeout: 60_000 };
const OPTIONS = { execute: [client.allowInsecureRequests], algorithm: 'oauth2' };
const SECRET = 'a secret is of these: A-Z a-z 0-9'.replaceAll(/[ :]/g, '_');

const machine = (id, auth, more) => `
[[client]]
id = "${id}"
name = "${id}"
auth = "${auth}"
grant_types = ["client_credentials"]
scopes = ["mcp"]
${more}
`;

test('openid-client as a machine', LIMIT, async (t) => {
  const dir = folder(t);
  const file = (name, text) => {
    writeFileSync(join(dir, name), text);
    return JSON.stringify(join(dir, name));
  };
  const keys = {};
  for (const [alg, parameters] of [
    ['ES256', { name: 'ECDSA', namedCurve: 'P-256' }],
    ['Ed25519', { name: 'Ed25519' }],
    ['RS256', { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }],
  ]) {
    const pair = await crypto.subtle.generateKey(parameters, true, ['sign', 'verify']);
    const { kty, crv, x, y, n, e } = await crypto.subtle.exportKey('jwk', pair.publicKey);
    keys[alg] = { ...pair, file: file(`${alg}.jwks`, JSON.stringify({ keys: [{ kty, crv, x, y, n, e, kid: alg }] })) };
  }
  const secret = `secret_file = ${file('secret', SECRET)}`;
  const after = [
    machine('basic', 'client_secret_basic', secret),
    machine('post', 'client_secret_post', secret),
    ...Object.entries(keys).map(([alg, key]) => machine(alg, 'private_key_jwt', `jwks_file = ${key.file}`)),
  ].join('');
  const { issuer, url } = await serve(t, { upstream: await everything(t), after });
  const methods = {
    basic: client.ClientSecretBasic(SECRET),
    post: client.ClientSecretPost(SECRET),
    ...Object.fromEntries(Object.entries(keys).map(([alg, { privateKey }]) => [alg, client.PrivateKeyJwt({ key: privateKey, kid: alg })])),
  };
  for (const [id, method] of Object.entries(methods)) {
    await t.test(id, LIMIT, async () => {
      const config = await client.discovery(new URL(issuer), id, undefined, method, OPTIONS);
      assert.ok(config.serverMetadata().grant_types_supported.includes('client_credentials'));
      const tokens = await client.clientCredentialsGrant(config, { resource: url, scope: 'mcp other' });
      assert.equal(tokens.scope, 'mcp');
      assert.equal(tokens.refresh_token, undefined);
      assert.equal((await initialize(url, tokens.access_token)).status, 200);
      await assert.rejects(client.clientCredentialsGrant(config, { resource: `${url}x` }), { error: 'invalid_target' });
      await client.tokenRevocation(config, tokens.access_token);
      const took = await refusedAfter(url, tokens.access_token, 10);
      assert.ok(took < 2000, `refused after ${took} ms`);
    });
  }
  const wrong = await client.discovery(new URL(issuer), 'basic', undefined, methods.ES256, OPTIONS);
  await assert.rejects(client.clientCredentialsGrant(wrong, {}), { error: 'invalid_client' });
});

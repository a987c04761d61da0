// Machines: `openid-client`, unmodified, gets tokens with each method that the metadata offers, and the gateway takes them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as client from 'openid-client';
import { commands } from './lib/commands.mjs';
import { everything, serve } from './lib/hallpass.mjs';
import { initialize, refusedAfter } from './lib/mcp.mjs';
import { folder } from './lib/programs.mjs';

const LIMIT = { timeout: 180_000 };
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
      const took = await refusedAfter(url, tokens.access_token, 30);
      assert.ok(took < 5000, `refused after ${took} ms`);
    });
  }
  const wrong = await client.discovery(new URL(issuer), 'basic', undefined, methods.ES256, OPTIONS);
  await assert.rejects(client.clientCredentialsGrant(wrong, {}), { error: 'invalid_client' });
});

test('cl_089 cl_054 hallpass login --machine, by secret and by key', LIMIT, async (t) => {
  const dir = folder(t);
  const file = (name) => join(dir, name);
  // As the guide says it.
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', file('robot.pem')]);
  const { kty, crv, x } = createPublicKey(readFileSync(file('robot.pem'))).export({ format: 'jwk' });
  writeFileSync(file('robot.jwks'), JSON.stringify({ keys: [{ kty, crv, x, kid: 'k1' }] }));
  writeFileSync(file('secret'), `${SECRET}\n`);
  const after = [
    machine('by-secret', 'client_secret_basic', `secret_file = ${JSON.stringify(file('secret'))}`),
    machine('by-key', 'private_key_jwt', `jwks_file = ${JSON.stringify(file('robot.jwks'))}`),
  ].join('');
  // Tokens that end while the test looks.
  const { issuer, url } = await serve(t, { upstream: await everything(t), more: '[tokens]\naccess_token_lifetime = "60s"\n', after });
  const hallpass = commands(t, { ROBOT: SECRET });
  const login = (...more) => hallpass('login', url, '--machine', ...more);

  const wrong = await hallpass('login', url, '--machine', '--client-id', 'by-secret', '--client-secret-env', 'NO_SUCH');
  assert.equal(wrong.code, 1, wrong.output);
  assert.match(wrong.output, /the variable NO_SUCH is not set/);
  const stranger = await login('--client-id', 'nobody', '--client-secret-env', 'ROBOT');
  assert.equal(stranger.code, 1, stranger.output);
  const elsewhere = await login('--client-id', 'by-secret', '--client-secret-env', 'ROBOT', '--issuer', 'https://as.example');
  assert.equal(elsewhere.code, 1, 'the secret is for somebody else');

  const done = [];
  for (const [account, ...proof] of [
    ['env', '--client-id', 'by-secret', '--client-secret-env', 'ROBOT'],
    ['file', '--client-id', 'by-secret', '--client-secret-file', file('secret'), '--issuer', issuer],
    ['key', '--client-id', 'by-key', '--client-key-file', file('robot.pem'), '--client-key-id', 'k1'],
  ]) {
    const one = await login('--account', account, ...proof);
    assert.equal(one.code, 0, one.output);
    assert.match(one.output, /renewed when needed/);
    const list = await hallpass('list', url, '--account', account);
    assert.match(list.stdout, /^echo  \S/m, list.output);
    const token = await hallpass('token', url, '--account', account);
    assert.equal((await initialize(url, token.stdout.trim())).status, 200);
    const run = await hallpass('exec', url, '--account', account, '--', 'sh', '-c', 'test -n "$MCP_TOKEN"');
    assert.equal(run.code, 0, run.output);
    done.push(one, list);
  }
  const stdin = hallpass.typing('login', url, '--machine', '--account', 'stdin', '--client-id', 'by-secret', '--client-secret-file', '-');
  stdin.types(`${SECRET}\n`);
  stdin.types();
  assert.equal(await stdin.ends(), 0, stdin.output);
  const status = await hallpass('status');
  assert.match(status.stdout, new RegExp(`machine   by-key \\(${file('robot.pem')}\\)`));
  for (const said of [...done, stdin, status]) assert.ok(!said.output.includes(SECRET), 'no secret is shown');

  // Signing out proves it too; a key that is gone is said.
  const first = (await hallpass('token', url, '--account', 'key')).stdout;
  const revoked = await hallpass('logout', url, '--account', 'file');
  assert.equal(revoked.code, 0, revoked.output);
  const out = await hallpass('logout', url, '--account', 'key');
  assert.equal(out.code, 0, out.output);
  rmSync(file('robot.pem'));
  assert.ok(first.trim());
  const gone = await login('--client-id', 'by-key', '--client-key-file', file('robot.pem'));
  assert.equal(gone.code, 1, gone.output);
  assert.match(gone.output, /robot\.pem: No such file/);
});

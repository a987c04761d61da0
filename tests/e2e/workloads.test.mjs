// Workloads: tokens minted by a real OpenID provider from npm (`oidc-provider`), found by its metadata, are the grant.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import Provider from 'oidc-provider';
import * as client from 'openid-client';
import { commands } from './lib/commands.mjs';
import { everything, serve } from './lib/hallpass.mjs';
import { initialize } from './lib/mcp.mjs';
import { atEnd, folder } from './lib/programs.mjs';

const LIMIT = { timeout: 180_000 };
const OPTIONS = { execute: [client.allowInsecureRequests], algorithm: 'oauth2' };
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const SECRET = 'what-the-platform-gives-its-programs';

/** A platform that gives programs tokens for whoever they name. `typ` is that of platforms; by itself the library writes `at+jwt`. */
async function platform(t, typ = 'JWT') {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  const issuer = `http://localhost:${server.address().port}`;
  const program = (client_id) => ({ client_id, client_secret: SECRET, grant_types: ['client_credentials'], redirect_uris: [], response_types: [], id_token_signed_response_alg: 'ES256' });
  const { privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const { kty, crv, x, y, d } = await crypto.subtle.exportKey('jwk', privateKey);
  const key = { kty, crv, x, y, d, kid: 'platform', use: 'sig', alg: 'ES256' };
  const provider = new Provider(issuer, {
    clients: [program('deploy'), program('other')],
    jwks: { keys: [key] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({ audience, scope: '', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
      },
    },
    ttl: { ClientCredentials: 600 },
    formats: { customizers: { jwt: (_ctx, _token, made) => Object.assign(made, { header: { ...made.header, typ } }) } },
  });
  server.on('request', provider.callback());
  const token = async (id, resource) => {
    const config = await client.discovery(new URL(issuer), id, undefined, client.ClientSecretBasic(SECRET), { ...OPTIONS, algorithm: 'oidc' });
    return (await client.clientCredentialsGrant(config, { resource })).access_token;
  };
  return { issuer, token };
}

const trust = (issuer, id) => `
[[workload_issuer]]
issuer = "${issuer}"

[[workload_issuer.workload]]
id = "${id}"
claims = { sub = "deploy", client_id = "dep*" }
scopes = ["mcp"]
`;

test('tokens of oidc-provider', LIMIT, async (t) => {
  const [one, odd] = [await platform(t), await platform(t, 'at+jwt')];
  const after = trust(one.issuer, 'deploy') + trust(odd.issuer, 'odd');
  const { issuer, url } = await serve(t, { upstream: await everything(t), after });
  const config = await client.discovery(new URL(issuer), 'deploy', undefined, client.None(), OPTIONS);
  assert.ok(config.serverMetadata().grant_types_supported.includes(GRANT));
  const exchange = (assertion, more = {}) => client.genericGrantRequest(config, GRANT, { assertion, resource: url, ...more });

  const assertion = await one.token('deploy', issuer);
  const tokens = await exchange(assertion);
  assert.equal(tokens.scope, 'mcp');
  assert.equal(tokens.refresh_token, undefined);
  assert.equal((await initialize(url, tokens.access_token)).status, 200);

  const refused = { error: 'invalid_grant' };
  await assert.rejects(exchange(assertion), refused, 'used before');
  await assert.rejects(exchange(await one.token('other', issuer)), refused, 'another program');
  await assert.rejects(exchange(await one.token('deploy', 'https://other.example')), refused, 'for somebody else');
  await assert.rejects(exchange(await odd.token('deploy', issuer)), refused, 'an access token');
  await assert.rejects(exchange(tokens.access_token), refused, 'our own');
  // The platform's own token is nothing to the gateway.
  assert.equal((await initialize(url, await one.token('deploy', url))).status, 401);
  assert.equal((await exchange(await one.token('deploy', `${issuer}/token`))).scope, 'mcp', 'for the token endpoint');
});

test('cl_093 hallpass login --workload', LIMIT, async (t) => {
  const one = await platform(t);
  const { issuer, url } = await serve(t, { upstream: await everything(t), after: trust(one.issuer, 'deploy') });
  const hallpass = commands(t);
  const file = join(folder(t), 'token');
  const login = (source = `file:${file}`, ...more) => hallpass('login', '--workload', source, url, ...more);

  const nothing = await login();
  assert.equal(nothing.code, 1, nothing.output);
  assert.match(nothing.output, /No such file/);
  writeFileSync(file, await one.token('deploy', 'https://kubernetes.default.svc'));
  const other = await login();
  assert.equal(other.code, 1, other.output);
  assert.match(other.output, /is not for http:\/\/localhost:\d+ alone/);

  const assertion = await one.token('deploy', issuer);
  writeFileSync(file, `${assertion}\n`);
  const done = await login();
  assert.equal(done.code, 0, done.output);
  assert.match(done.output, /renewed when needed/);
  const list = await hallpass('list', url);
  assert.match(list.stdout, /^echo  \S/m, list.output);
  const token = await hallpass('token', url);
  assert.equal((await initialize(url, token.stdout.trim())).status, 200);
  const status = await hallpass('status');
  assert.ok(status.stdout.includes(`workload  file:${file}`), status.output);
  for (const said of [done, list, status]) assert.ok(!said.output.includes(assertion.split('.')[2]), 'no token is shown');

  const spent = await login();
  assert.equal(spent.code, 1, 'used before');
  assert.match(spent.output, /used before/);
});

test('cl_093 hallpass login --workload github', LIMIT, async (t) => {
  const one = await platform(t);
  const { issuer, url } = await serve(t, { upstream: await everything(t), after: trust(one.issuer, 'deploy') });
  const asked = [];
  const github = http.createServer(async (request, response) => {
    const audience = new URL(request.url, 'http://x').searchParams.get('audience');
    asked.push([audience, request.headers.authorization]);
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ count: 1, value: await one.token('deploy', audience) }));
  });
  await new Promise((resolve) => github.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    github.close();
    github.closeAllConnections();
  });
  const outside = commands(t);
  const none = await outside('login', '--workload', 'github', url);
  assert.equal(none.code, 1, none.output);
  assert.match(none.output, /id-token: write/);
  const env = { ACTIONS_ID_TOKEN_REQUEST_URL: `http://localhost:${github.address().port}/token?api-version=2.0`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'job-secret' };
  const hallpass = commands(t, env);
  const done = await hallpass('login', '--workload', 'github', url);
  assert.equal(done.code, 0, done.output);
  assert.deepEqual(asked, [[issuer, 'Bearer job-secret']]);
  const run = await hallpass('exec', url, '--', 'sh', '-c', 'test -n "$MCP_TOKEN"');
  assert.equal(run.code, 0, run.output);
  assert.equal(asked.length, 1, 'a token that is good is used');
});

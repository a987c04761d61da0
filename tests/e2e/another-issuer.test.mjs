// Another authorization server in front of a server behind hallpass: `oidc-provider` from npm signs people in, official clients find
// it through the metadata that hallpass publishes, and hallpass takes its tokens, signed ones and opaque ones.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import OpenIdProvider from 'oidc-provider';
import * as client from 'openid-client';
import { everything, serve } from './lib/hallpass.mjs';
import { CookieJar, exchange } from './lib/http.mjs';
import { initialize } from './lib/mcp.mjs';
import { atEnd, folder } from './lib/programs.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 180_000 };
const SECRET = 'the-secret-of-the-gateway-at-the-company';
const MACHINE = 'what-the-company-gives-its-programs';

/** A company's authorization server. Whoever comes is signed in as `ada`, and says yes. */
async function company(t, { format = 'jwt', customize } = {}) {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  const issuer = `http://localhost:${server.address().port}`;
  const { privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const { kty, crv, x, y, d } = await crypto.subtle.exportKey('jwk', privateKey);
  const provider = new OpenIdProvider(issuer, {
    clients: [
      { client_id: 'nightly', client_secret: MACHINE, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
      { client_id: 'gateway', client_secret: SECRET, grant_types: [], redirect_uris: [], response_types: [] },
    ],
    jwks: { keys: [{ kty, crv, x, y, d, kid: 'company', use: 'sig', alg: 'ES256' }] },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    scopes: ['openid', 'offline_access', 'tools'],
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, audience) => ({ audience, scope: 'tools', accessTokenFormat: format, jwt: { sign: { alg: 'ES256' } } }),
      },
    },
    pkce: { required: () => true },
    ...(customize && { formats: { customizers: { jwt: customize } } }),
  });
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    if (!request.url.startsWith('/interaction/')) return answer(request, response);
    const { params, grantId, session } = await provider.interactionDetails(request, response);
    const accountId = session?.accountId ?? 'ada';
    const grant = (grantId && (await provider.Grant.find(grantId))) ?? new provider.Grant({ accountId, clientId: params.client_id });
    grant.addOIDCScope('openid offline_access tools');
    grant.addResourceScope(params.resource, 'tools');
    const result = { login: { accountId }, consent: { grantId: await grant.save() } };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  });
  return { issuer };
}

/** A browser that goes where it is sent, with cookies, until it leaves this origin. */
async function follow(start) {
  const jar = new CookieJar();
  let url = new URL(start);
  const { origin } = url;
  for (let hop = 0; hop < 12; hop += 1) {
    const { status, headers, text } = await exchange(url.href, { headers: jar.header(url.href) });
    jar.keep(url.href, headers['set-cookie']);
    assert.ok(headers.location, `${url} answered ${status}: ${text}`);
    url = new URL(headers.location, url);
    if (url.origin !== origin) return url;
  }
  throw new Error(`no end at ${url}`);
}

const trusting = (issuer, more = '') => `
[[authorization_server]]
name = "company"
issuer = "${issuer}"
${more}
`;
const TAKES = 'authorization_servers = ["company"]\n[server.tokens.company]\nscopes = { mcp = ["tools"] }';

async function protectedBy(t, issuer, more, takes = TAKES) {
  const upstream = await everything(t);
  const hallpass = await serve(t, { upstream, more: trusting(issuer, more), after: takes, person: null });
  return hallpass;
}

async function signsIn(hallpass, issuer, sdk) {
  const provider = new Provider();
  const first = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
  const official = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  await assert.rejects(official.connect(first), sdk.UnauthorizedError);
  const page = provider.kept.authorizationUrl;
  assert.equal(page.origin, issuer, 'the client was sent to the other server');
  assert.match(page.searchParams.get('scope'), /\btools\b/, 'asking by its names');
  assert.equal(page.searchParams.get('resource'), hallpass.url);
  const redirect = await follow(page.href);
  await sdk.finish(first, redirect);
  const connected = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  await connected.connect(new sdk.Transport(new URL(hallpass.url), { authProvider: provider }));
  const { content } = await sdk.callTool(connected, { name: 'echo', arguments: { message: sdk.name } });
  assert.equal(content[0].text, `Echo: ${sdk.name}`);
  await connected.close();
  return provider.kept.tokens;
}

async function machine(issuer, resource) {
  const options = { execute: [client.allowInsecureRequests] };
  const config = await client.discovery(new URL(issuer), 'nightly', undefined, client.ClientSecretBasic(MACHINE), options);
  return (await client.clientCredentialsGrant(config, { resource, scope: 'tools' })).access_token;
}

test('official clients sign in at oidc-provider and use a server behind hallpass', LIMIT, async (t) => {
  const { issuer } = await company(t);
  const hallpass = await protectedBy(t, issuer);
  for (const sdk of SDKS) {
    const tokens = await signsIn(hallpass, issuer, sdk);
    const claims = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url'));
    assert.deepEqual([claims.iss, claims.aud, claims.sub], [issuer, hallpass.url, 'ada']);
    // What the same keys sign for another purpose is none.
    if (tokens.id_token) assert.equal((await initialize(hallpass.url, tokens.id_token)).status, 401);
  }
  assert.equal((await initialize(hallpass.url, await machine(issuer, hallpass.url))).status, 200);
  const other = await machine(issuer, 'https://other.example/mcp');
  assert.equal((await initialize(hallpass.url, other)).status, 401, 't_70: for another server');
  const stranger = await company(t);
  assert.equal((await initialize(hallpass.url, await machine(stranger.issuer, hallpass.url))).status, 401);
  await hallpass.program.says(new RegExp(`subject="?${issuer} ada`));
});

test('rs_031 opaque tokens of oidc-provider are introspected', LIMIT, async (t) => {
  const { issuer } = await company(t, { format: 'opaque' });
  const secret = join(folder(t), 'gateway.secret');
  writeFileSync(secret, `${SECRET}\n`);
  const more = `introspection = { client_id = "gateway", secret_file = "${secret}", used_for = "1s" }`;
  const hallpass = await protectedBy(t, issuer, more);
  const [, sdk] = SDKS;
  const tokens = await signsIn(hallpass, issuer, sdk);
  assert.ok(!tokens.access_token.includes('.'), 'opaque');
  assert.equal((await initialize(hallpass.url, 'invented')).status, 401);
  assert.equal((await initialize(hallpass.url, await machine(issuer, 'https://other.example/mcp'))).status, 401);
  if (tokens.refresh_token) assert.equal((await initialize(hallpass.url, tokens.refresh_token)).status, 401);
});

test('rs_025 plain JWTs are taken where the file says so, and ID tokens never', LIMIT, async (t) => {
  const plain = (_context, _token, made) => Object.assign(made, { header: { ...made.header, typ: 'JWT' } });
  const { issuer } = await company(t, { customize: plain });
  const strict = await protectedBy(t, issuer);
  const loose = await protectedBy(t, issuer, 'token_type = "jwt"');
  assert.equal((await initialize(strict.url, await machine(issuer, strict.url))).status, 401);
  assert.equal((await initialize(loose.url, await machine(issuer, loose.url))).status, 200);
  const both = await protectedBy(t, issuer, 'token_type = "jwt"', TAKES.replace('["company"]', '["self", "company"]'));
  assert.equal((await initialize(both.url, await machine(issuer, both.url))).status, 200);
  const document = JSON.parse((await exchange(`${both.issuer}/.well-known/oauth-protected-resource/mcp`)).text);
  assert.deepEqual(document.authorization_servers, [both.issuer, issuer]);
});

// Authorization servers of others, unmodified, each with an MCP server behind it, and a person who says yes there.
import http from 'node:http';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Provider from 'oidc-provider';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { getAuthTables } from 'better-auth/db';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';
import { mcp, requireMcpAuth } from '@better-auth/mcp';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { base64url, calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose';
import { z } from 'zod';
import { exchange, CookieJar } from './http.mjs';
import { Person } from './person.mjs';
import { atEnd, freePort, start } from './programs.mjs';

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** A server on this machine, and its origin. */
async function listening(t) {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return { server, origin: `http://localhost:${server.address().port}` };
}

/** The tool that all of them have, for one request. */
async function greeter(request) {
  const server = new McpServer({ name: 'foreign', version: '1' });
  const tool = { description: 'Greets.', inputSchema: { name: z.string() } };
  server.registerTool('greet', tool, ({ name }) => ({ content: [{ type: 'text', text: `Hello, ${name}!` }] }));
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
  await server.connect(transport);
  return transport.handleRequest(request);
}

/** A handler of the web standard as one of Node. */
function answering(origin, handler) {
  return async (incoming, outgoing) => {
    const parts = [];
    for await (const part of incoming) parts.push(part);
    const { method, url, headers } = incoming;
    const body = parts.length ? Buffer.concat(parts) : undefined;
    const answer = await handler(new Request(origin + url, { method, headers, body }));
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()));
  };
}

/** Opens the page; it goes on to the client by itself. */
const clicksThrough = async (page) => (await new Person().open(page)).away;

/** The sample server of the TypeScript SDK with its sample authorization server. */
export async function typescript(t) {
  const [MCP_PORT, MCP_AUTH_PORT] = [String(await freePort()), String(await freePort())];
  const main = createRequire(import.meta.url).resolve('@modelcontextprotocol/sdk/examples/server/simpleStreamableHttp.js');
  const program = start(t, process.execPath, [main, '--oauth', '--oauth-strict'], { env: { MCP_PORT, MCP_AUTH_PORT } });
  await program.says(/listening on port \d+[\s\S]*listening on port \d+/);
  return { url: `http://localhost:${MCP_PORT}/mcp`, issuer: `http://localhost:${MCP_AUTH_PORT}`, program, allow: clicksThrough };
}

/** The authorization server of the Python SDK, whose access tokens live for so many seconds. */
export async function python(t, lifetime = 3600) {
  const interpreter = path('.venv/bin/python');
  if (!existsSync(interpreter)) throw new Error('no .venv: run these tests by `cargo xtask test`');
  const port = await freePort();
  const program = start(t, interpreter, [path('python/server.py'), String(port), String(lifetime)]);
  await program.says(/Uvicorn running/);
  return { url: `http://localhost:${port}/mcp`, issuer: `http://localhost:${port}`, program, allow: clicksThrough };
}

/** `better-auth` with its plugin for MCP. The person has an account there and is signed in. */
export async function better(t) {
  const { server, origin } = await listening(t);
  const tables = {};
  const resource = `${origin}/mcp`;
  const options = {
    baseURL: origin,
    secret: randomBytes(32).toString('base64'),
    database: memoryAdapter(tables),
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
    logger: { disabled: true },
    rateLimit: { enabled: false },
    plugins: [
      jwt(),
      mcp({
        loginPage: '/login',
        consentPage: '/consent',
        resource,
        scopes: ['openid', 'offline_access', 'mcp'],
        allowDynamicClientRegistration: true,
        allowUnauthenticatedClientRegistration: true,
      }),
    ],
  };
  for (const { modelName } of Object.values(getAuthTables(options))) tables[modelName] = [];
  const auth = betterAuth(options);
  const guarded = answering(origin, requireMcpAuth(auth, greeter, { resource }));
  const rest = toNodeHandler(auth);
  server.on('request', (incoming, outgoing) => (incoming.url === '/mcp' ? guarded : rest)(incoming, outgoing));

  const jar = new CookieJar();
  const post = async (to, body) => {
    const headers = { 'content-type': 'application/json', origin, ...jar.header(origin) };
    const answer = await exchange(`${origin}/api/auth${to}`, { method: 'POST', headers, body: JSON.stringify(body) });
    jar.keep(origin, answer.headers['set-cookie']);
    if (answer.status !== 200) throw new Error(`${to}: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  };
  await post('/sign-up/email', { email: 'ada@example.com', password: 'correct horse battery', name: 'Ada' });
  const allow = async (page) => {
    const answer = await exchange(page, { headers: jar.header(origin) });
    const asked = new URL(answer.headers.location, origin);
    // What was allowed once is not asked again.
    if (asked.hostname === '127.0.0.1') return asked;
    if (asked.pathname !== '/consent') throw new Error(`no consent: ${answer.status} ${answer.headers.location}`);
    const { url } = await post('/oauth2/consent', { accept: true, oauth_query: asked.search.slice(1) });
    return new URL(url);
  };
  return { url: resource, issuer: `${origin}/api/auth`, allow };
}

/** npm's `oidc-provider` with everything that it has for this: proofs with nonces, pushed requests, devices, resources. */
export async function oidc(t, { pushed = true, proofs = true } = {}) {
  const { server, origin } = await listening(t);
  const resource = `${origin}/mcp`;
  const { privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const { kty, crv, x, y, d } = await crypto.subtle.exportKey('jwk', privateKey);
  const issuer = `${origin}/oidc`;
  const provider = new Provider(issuer, {
    jwks: { keys: [{ kty, crv, x, y, d, kid: '1', use: 'sig', alg: 'ES256' }] },
    clientAuthMethods: ['none'],
    clientDefaults: { id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'none' },
    scopes: ['openid', 'offline_access', 'greet'],
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    interactions: { url: (_, { uid }) => `${origin}/interaction/${uid}` },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
      deviceFlow: { enabled: true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => proofs },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: pushed },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, audience) => ({ audience, scope: 'greet', accessTokenFormat: 'opaque', accessTokenTTL: 3 }),
      },
    },
    issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  });
  const seen = { proofs: 0, refreshes: 0, revoked: 0, pushed: 0 };
  provider.on('grant.success', ({ oidc }) => (seen.refreshes += oidc.params.grant_type === 'refresh_token' ? 1 : 0));
  provider.on('grant.revoked', () => (seen.revoked += 1));
  provider.on('pushed_authorization_request.success', () => (seen.pushed += 1));

  const metadata = { resource, authorization_servers: [issuer], scopes_supported: ['greet'], bearer_methods_supported: ['header'] };
  if (proofs) metadata.dpop_bound_access_tokens_required = true;
  const guarded = answering(origin, async (request) => {
    const [scheme, value] = (request.headers.get('authorization') ?? ' ').split(' ');
    const token = value && (await provider.AccessToken.find(value));
    const good = token && !token.isExpired && token.aud === resource && token.scope === 'greet' && (await proves(request, scheme, value, token));
    if (good) {
      if (scheme === 'DPoP') seen.proofs += 1;
      return greeter(request);
    }
    const error = value ? ', error="invalid_token"' : '';
    const challenge = `${proofs ? 'DPoP' : 'Bearer'} resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"${error}`;
    return new Response(null, { status: 401, headers: { 'www-authenticate': challenge } });
  });
  const proves = async (request, scheme, value, token) => {
    if (!proofs) return scheme === 'Bearer' && !token.jkt;
    if (scheme !== 'DPoP' || !token.jkt) return false;
    const { payload, protectedHeader } = await jwtVerify(request.headers.get('dpop'), EmbeddedJWK, { typ: 'dpop+jwt' });
    const ath = base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(value))));
    return payload.ath === ath && payload.htu === resource && payload.htm === request.method && (await calculateJwkThumbprint(protectedHeader.jwk)) === token.jkt;
  };
  const handle = provider.callback();
  server.on('request', async (incoming, outgoing) => {
    if (incoming.url === '/mcp') return guarded(incoming, outgoing);
    if (incoming.url === '/.well-known/oauth-protected-resource/mcp') return outgoing.setHeader('content-type', 'application/json').end(JSON.stringify(metadata));
    // It is mounted below a path, and its metadata where OpenID Connect puts it.
    if (incoming.url.startsWith('/interaction/')) return consent(provider, resource, incoming, outgoing);
    if (!incoming.url.startsWith('/oidc/')) return outgoing.writeHead(404).end();
    incoming.originalUrl = incoming.url;
    incoming.url = incoming.url.slice('/oidc'.length);
    return handle(incoming, outgoing);
  });
  return { url: resource, issuer, seen, allow: clicksThrough, letIn };
}

/** The person is ada, and says yes to whatever is asked. */
async function consent(provider, resource, incoming, outgoing) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(incoming, outgoing);
  if (prompt.name === 'login') return provider.interactionFinished(incoming, outgoing, { login: { accountId: 'ada' } });
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(resource, 'greet');
  return provider.interactionFinished(incoming, outgoing, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

/** Enters the code of a device, and confirms it. */
async function letIn(page, user_code) {
  const person = new Person();
  await person.open(page);
  const asks = (form) => form.fields.some(({ name }) => name === 'xsrf');
  for (let step = 0; step < 3 && person.page.forms.some(asks); step += 1) await person.submit(asks, undefined, { user_code });
  return person.page;
}

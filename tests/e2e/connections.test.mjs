// A person connects an account at a service of somebody else, once, and an MCP server behind hallpass is asked with that
// person's token: never seen by the client, renewed ahead of its end, taken back at a press of a button.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import Oidc from 'oidc-provider';
import { serve } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { atEnd, folder, freePort } from './lib/programs.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };

test('a service of somebody else is connected by a person and used for that person', LIMIT, async (t) => {
  const port = await freePort();
  const service = await thirdParty(t, `http://localhost:${port}/account/connections/callback/git`);
  const behind = await mcpServer(t, service.issuer);
  const secret = join(folder(t), 'git.secret');
  writeFileSync(secret, `${service.secret}\n`, { mode: 0o600 });
  const more = `
[[connection]]
name = "git"
title = "Git"
issuer = ${JSON.stringify(service.issuer)}
client_id = "hallpass"
secret_file = ${JSON.stringify(secret)}
scopes = ["openid", "offline_access"]
parameters = { prompt = "consent" }
`;
  const hallpass = await serve(t, { upstream: behind.url, port, more, after: 'connection = "git"' });
  const [v1, v2] = SDKS;

  // The one opens pages, the other says nothing of it.
  const opens = await signIn(v1, hallpass, { capabilities: { elicitation: { url: {} } } });
  const reads = await signIn(v2, hallpass);
  const asked = await whoami(v1, opens).then(() => assert.fail('nothing is connected'), (error) => error);
  assert.equal(asked.code, -32042, asked.message);
  const [{ mode, url, message }] = asked.data.elicitations;
  assert.equal(mode, 'url');
  assert.match(message, /needs your account at Git/);
  assert.ok(url.startsWith(`${hallpass.issuer}/account/connections?link=`), url);
  const told = await whoami(v2, reads);
  assert.equal(told.isError, true);
  assert.match(told.content[0].text, /Open http:\/\/localhost:\d+\/account\/connections\?link=\S+ to connect it/);
  assert.deepEqual(behind.seen, [], 'no call came through in nobody’s name');

  const done = await connect(hallpass.person, url);
  assert.match(done.words, /Git is connected/);
  for (const [sdk, session] of [[v1, opens], [v2, reads]]) {
    const answer = await whoami(sdk, session);
    assert.equal(answer.content[0].text, 'ada', JSON.stringify(answer));
  }
  const first = behind.seen.at(-1);
  // It lives for seconds. The next one comes without anybody noticing.
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  assert.equal((await whoami(v1, opens)).content[0].text, 'ada');
  const second = behind.seen.at(-1);
  assert.notEqual(second, first);
  const own = [opens, reads].map(({ provider }) => `Bearer ${provider.kept.tokens.access_token}`);
  assert.ok(behind.seen.every((header) => !own.includes(header)), 'a client’s token never goes on');
  const log = hallpass.program.output;
  for (const header of behind.seen) assert.ok(!log.includes(header.slice('Bearer '.length)), 'no token is in the log');

  await hallpass.person.open(`${hallpass.issuer}/account/connections`);
  await hallpass.person.press('action', 'disconnect');
  assert.match(hallpass.person.page.words, /not connected/);
  const after = await exchange(`${service.issuer}/me`, { headers: { authorization: second } });
  assert.equal(after.status, 401, 'the service was told');
  await assert.rejects(whoami(v1, opens), (error) => error.code === -32042);
  for (const { client } of [opens, reads]) await client.close();
});

/** From the link of a prompt to the account there and back. */
async function connect(person, link) {
  await person.open(link);
  await person.press('action', 'connect');
  const names = (name) => (form) => form.fields.some((field) => field.name === name);
  const asks = (prompt) => (form) => form.fields.some(({ name, value }) => name === 'prompt' && value === prompt);
  await person.open(person.page.away.href);
  await person.submit(names('login'), undefined, { login: 'ada' });
  if (person.page.forms.some(asks('consent'))) await person.submit(asks('consent'));
  return person.open(person.page.away.href);
}

async function whoami(sdk, { client }) {
  return sdk.callTool(client, { name: 'whoami', arguments: {} });
}

async function signIn(sdk, hallpass, options) {
  const provider = new Provider();
  const first = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
  const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' }, options);
  await assert.rejects(client.connect(first), sdk.UnauthorizedError);
  await sdk.finish(first, await hallpass.person.authorize(provider.kept.authorizationUrl.href));
  const transport = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
  await client.connect(transport);
  return { client, provider };
}

/** An authorization server of other people's making. */
async function thirdParty(t, redirectUri) {
  const port = await freePort();
  const [issuer, secret] = [`http://localhost:${port}`, 'a secret of the operator, 32 bytes or more'.replaceAll(' ', '-')];
  const provider = new Oidc(issuer, {
    clients: [{
      client_id: 'hallpass',
      client_secret: secret,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    }],
    ttl: { AccessToken: 4, RefreshToken: 600, Grant: 600, Session: 600, Interaction: 600, IdToken: 600, AuthorizationCode: 60 },
    features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
    cookies: { keys: ['only a test'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  });
  const server = http.createServer(provider.callback());
  await new Promise((resolve) => server.listen(port, 'localhost', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return { issuer, secret };
}

/** An MCP server that says what the service calls the person whose token it gets. */
async function mcpServer(t, issuer) {
  const seen = [];
  const result = async ({ method, params }, { authorization }) => {
    if (method === 'initialize') {
      return { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'whoami', version: '1' } };
    }
    if (method === 'tools/list') return { tools: [{ name: 'whoami', inputSchema: { type: 'object' } }] };
    if (method !== 'tools/call') return {};
    seen.push(authorization);
    const account = await exchange(`${issuer}/me`, { headers: { authorization } });
    return { content: [{ type: 'text', text: account.status === 200 ? JSON.parse(account.text).sub : account.text }] };
  };
  const server = http.createServer(async (request, answer) => {
    let text = '';
    for await (const piece of request) text += piece;
    if (request.method !== 'POST') return answer.writeHead(405).end();
    const message = JSON.parse(text);
    if (message.id === undefined) return answer.writeHead(202).end();
    const body = JSON.stringify({ jsonrpc: '2.0', id: message.id, result: await result(message, request.headers) });
    const headers = { 'content-type': 'application/json' };
    if (message.method === 'initialize') headers['mcp-session-id'] = crypto.randomUUID();
    answer.writeHead(200, headers).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}/mcp`, seen };
}

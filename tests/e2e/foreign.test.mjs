// The program's own client at authorization servers of others, unmodified: sign in, call, carry stdio, renew, sign out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { commands } from './lib/commands.mjs';
import { better, oidc, python, typescript } from './lib/foreign.mjs';
import { binary } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { Person } from './lib/person.mjs';
import { atEnd } from './lib/programs.mjs';

const LIMIT = { timeout: 240_000 };
const SIGN_IN_NEEDED = 3;
const after = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Signs in with a page that the person opens elsewhere on this machine. */
async function signsIn(hallpass, { url, issuer, allow }, ...more) {
  const login = hallpass.begin('login', '--no-browser', url, ...more);
  const [page] = await login.says(new RegExp(`${new URL(issuer).origin}/\\S*\\?\\S*(code_challenge|request_uri)=\\S+`));
  const redirect = await allow(page);
  assert.equal(redirect?.hostname, '127.0.0.1', `${page} led to ${redirect}`);
  assert.equal((await exchange(redirect.href)).status, 200);
  assert.equal(await login.ends(), 0, login.output);
  return login;
}

async function greets(hallpass, url) {
  const call = await hallpass('call', url, 'tools/call', JSON.stringify({ name: 'greet', arguments: { name: 'Ada' } }));
  assert.equal(call.code, 0, call.output);
  assert.match(call.stdout, /Hello, Ada!/);
}

/** A client that only knows stdio, through the bridge, with what was kept at the sign-in. */
async function greetsOverStdio(t, hallpass, url) {
  const transport = new StdioClientTransport({ command: binary(), args: ['connect', '--no-browser', url], env: { ...hallpass.env, PATH: process.env.PATH }, stderr: 'pipe' });
  const client = new Client({ name: 'stdio only', version: '1' });
  atEnd(t, () => client.close());
  await client.connect(transport);
  const { tools } = await client.listTools();
  assert.ok(tools.some(({ name }) => name === 'greet'));
  const { content } = await client.callTool({ name: 'greet', arguments: { name: 'Bob' } });
  assert.equal(content[0].text, 'Hello, Bob!');
}

async function signsOut(hallpass, url) {
  const logout = await hallpass('logout', url);
  assert.equal(logout.code, 0, logout.output);
  assert.equal((await hallpass('call', url, 'tools/list')).code, SIGN_IN_NEEDED);
  return logout;
}

test('the TypeScript SDK: its sample server and authorization server', LIMIT, async (t) => {
  const server = await typescript(t);
  const hallpass = commands(t);
  await signsIn(hallpass, server);
  await greets(hallpass, server.url);
  await greetsOverStdio(t, hallpass, server.url);
  await signsOut(hallpass, server.url);
});

test('the Python SDK: its authorization server', LIMIT, async (t) => {
  const server = await python(t, 3);
  const hallpass = commands(t);
  await signsIn(hallpass, server);
  await greets(hallpass, server.url);
  await after(3);
  await greets(hallpass, server.url);
  await server.program.says(/^REFRESHED$/m);
  await greetsOverStdio(t, hallpass, server.url);
  await signsOut(hallpass, server.url);
  await server.program.says(/^REVOKED$/m);
});

test('better-auth: its plugin for MCP', LIMIT, async (t) => {
  const server = await better(t);
  const hallpass = commands(t);
  await signsIn(hallpass, server);
  await greets(hallpass, server.url);
  await greetsOverStdio(t, hallpass, server.url);
  await signsOut(hallpass, server.url);
  await t.test('with tokens that are bound to a key', LIMIT, async (t) => {
    await signsIn(hallpass, server, '--bound-tokens');
    const token = await hallpass('token', server.url);
    assert.match(token.output, /bound to a key/);
    await greets(hallpass, server.url);
    await greetsOverStdio(t, hallpass, server.url);
    await signsOut(hallpass, server.url);
  });
});

test('oidc-provider: proofs with nonces, pushed requests, a resource', LIMIT, async (t) => {
  const server = await oidc(t);
  const hallpass = commands(t);
  await signsIn(hallpass, server);
  assert.equal(server.seen.pushed, 1);
  await greets(hallpass, server.url);
  await after(3);
  await greets(hallpass, server.url);
  assert.ok(server.seen.refreshes >= 1);
  await greetsOverStdio(t, hallpass, server.url);
  assert.ok(server.seen.proofs > 3);
  await signsOut(hallpass, server.url);
  assert.ok(server.seen.revoked > 0);
});

test('oidc-provider: the same browser again, which is the same grant', LIMIT, async (t) => {
  const server = await oidc(t, { pushed: false, proofs: false });
  const hallpass = commands(t);
  const ada = new Person();
  const allow = async (page) => (await ada.open(page)).away;
  await signsIn(hallpass, { ...server, allow });
  const again = await signsIn(hallpass, { ...server, allow });
  // To revoke what the first sign-in brought would end the second one with it.
  assert.match(again.output, /The sign-in before this one was not revoked/);
  assert.equal(server.seen.revoked, 0);
  await after(3);
  await greets(hallpass, server.url);
  assert.ok(server.seen.refreshes >= 1);
  await signsOut(hallpass, server.url);
  assert.ok(server.seen.revoked > 0);
});

test('oidc-provider: a device', LIMIT, async (t) => {
  const server = await oidc(t, { pushed: false, proofs: false });
  const hallpass = commands(t);
  const login = hallpass.begin('login', '--device', server.url);
  const [, page, code] = await login.says(new RegExp(`^(${server.issuer}/\\S+)\\n([A-Z-]{6,})$`, 'm'));
  await server.letIn(page, code);
  assert.equal(await login.ends(), 0, login.output);
  await greets(hallpass, server.url);
  await greetsOverStdio(t, hallpass, server.url);
  await signsOut(hallpass, server.url);
});

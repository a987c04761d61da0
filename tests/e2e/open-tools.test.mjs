// A server with a tool for anybody: official clients use it without a sign-in, and sign in at the first tool that needs it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everything, serve } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 180_000 };
const RULES = `
[[server.rules]]
name = "open"
tools = ["echo"]
open = true

[[server.rules]]
tools = ["get-sum"]
scopes = ["mcp"]
`;

test('official clients use what is open and sign in for the rest', LIMIT, async (t) => {
  const hallpass = await serve(t, { upstream: await everything(t), after: RULES });
  for (const sdk of SDKS) await t.test(sdk.name, LIMIT, () => lazily(hallpass, sdk));
});

async function lazily(hallpass, sdk) {
  const provider = new Provider();
  const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  const transport = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
  await client.connect(transport);
  assert.equal(provider.kept.authorizationUrl, undefined, 'nobody is asked to sign in');
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map(({ name }) => name).sort(), ['echo', 'get-sum']);
  const sum = tools.find(({ name }) => name === 'get-sum');
  assert.deepEqual(sum._meta.securitySchemes, [{ type: 'oauth2', scopes: ['mcp'] }]);
  assert.deepEqual(tools.find(({ name }) => name === 'echo')._meta.securitySchemes, [{ type: 'noauth' }]);
  const echo = await sdk.callTool(client, { name: 'echo', arguments: { message: 'hi' } });
  assert.equal(echo.content[0].text, 'Echo: hi');

  await assert.rejects(sdk.callTool(client, { name: 'get-sum', arguments: { a: 1, b: 2 } }), sdk.UnauthorizedError);
  assert.match(provider.kept.authorizationUrl.searchParams.get('scope'), /^mcp( offline_access)?$/);
  const redirect = await hallpass.person.authorize(provider.kept.authorizationUrl.href);
  await sdk.finish(transport, redirect);
  const { access_token: token } = provider.kept.tokens;

  // What began without a token does not go on with one.
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${token}`, 'mcp-session-id': transport.sessionId };
  const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
  assert.equal((await exchange(hallpass.url, { method: 'POST', headers, body: ping })).status, 404);
  assert.equal((await exchange(hallpass.url, { method: 'POST', headers: { ...headers, authorization: `Bearer ${token}x` }, body: ping })).status, 401);

  const signedIn = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  await signedIn.connect(new sdk.Transport(new URL(hallpass.url), { authProvider: provider }));
  const called = await sdk.callTool(signedIn, { name: 'get-sum', arguments: { a: 1, b: 2 } });
  assert.match(called.content[0].text, /3/);
  await signedIn.close();
  await client.close();
}

// Rich authorization requests (RFC 9396): an unmodified client library pushes one, a person reads it, and the official MCP
// client calls what it is for and nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as client from 'openid-client';
import { everything, serve } from './lib/hallpass.mjs';
import { atEnd } from './lib/programs.mjs';

const REDIRECT = 'http://127.0.0.1:33988/callback';
const CLIENT = `
[[client]]
id = "assistant"
name = "Assistant"
redirect_uris = [${JSON.stringify(REDIRECT)}]
`;
const ASKED = [{ type: 'mcp_tool', tool: 'echo', arguments: { message: { matches: 'hello *' } } }];

test('AS-089 T-24 openid-client asks for one tool and one kind of argument, and the MCP client gets no more', { timeout: 180_000 }, async (t) => {
  const { issuer, url, person } = await serve(t, { upstream: await everything(t), after: CLIENT });
  const options = { execute: [client.allowInsecureRequests], algorithm: 'oauth2' };
  const config = await client.discovery(new URL(issuer), 'assistant', undefined, client.None(), options);
  assert.deepEqual(config.serverMetadata().authorization_details_types_supported, ['mcp_tool']);
  const [verifier, state] = [client.randomPKCECodeVerifier(), client.randomState()];
  const parameters = {
    redirect_uri: REDIRECT, scope: 'mcp', resource: url, state, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  };
  const asking = (details) => client.buildAuthorizationUrlWithPAR(config, { ...parameters, authorization_details: JSON.stringify(details) });
  await assert.rejects(asking([{ type: 'payment_initiation' }]), { error: 'invalid_authorization_details' });
  const answered = await person.authorize((await asking(ASKED)).href);
  assert.ok(person.seen.some(({ words }) => words.includes('With these tools only echo, only with message: like "hello *"')), JSON.stringify(person.seen.map(({ words }) => words)));
  const tokens = await client.authorizationCodeGrant(config, answered, { pkceCodeVerifier: verifier, expectedState: state }, { resource: url });
  assert.deepEqual(tokens.authorization_details, ASKED);
  const next = await client.refreshTokenGrant(config, tokens.refresh_token, { resource: url });
  assert.deepEqual(next.authorization_details, ASKED);

  const mcp = new Client({ name: 'e2e', version: '1' });
  const requestInit = { headers: { authorization: `Bearer ${next.access_token}` } };
  await mcp.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  atEnd(t, () => mcp.close());
  assert.deepEqual((await mcp.listTools()).tools.map(({ name }) => name), ['echo'], 'the list has what the token is for');
  const called = await mcp.callTool({ name: 'echo', arguments: { message: 'hello you' } });
  assert.match(JSON.stringify(called.content), /hello you/);
  for (const call of [{ name: 'echo', arguments: { message: 'goodbye' } }, { name: 'echo', arguments: {} }, { name: 'get-tiny-image', arguments: {} }]) {
    await assert.rejects(mcp.callTool(call), /not for this tool with these arguments/, call.name);
  }
});

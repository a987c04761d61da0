// The official TypeScript clients sign in and call a real MCP server through hallpass.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documentServer } from './lib/authority.mjs';
import { everything, run, serve, trusting } from './lib/hallpass.mjs';
import { initialize, refusedAfter } from './lib/mcp.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };

test('official clients', LIMIT, async (t) => {
  const upstream = await everything(t);
  const documents = await documentServer(t);
  const clientId = documents.publish('/client.json', Provider.metadata());
  const lasting = await serve(t, { upstream, more: trusting(documents) });
  const brief = await serve(t, { upstream, more: `[tokens]\naccess_token_lifetime = "2s"\n${trusting(documents)}` });
  const kinds = [['dynamic registration', undefined], ['a metadata document', clientId]];
  const all = SDKS.flatMap((sdk) => kinds.map(([kind, metadataUrl]) => ({ sdk, metadataUrl, name: `${sdk.name} with ${kind}` })));

  // Gateways allow for clocks that differ, so expiry takes its time. All of these wait for it at once.
  const expiring = [];
  for (const { name, sdk, metadataUrl } of all) expiring.push({ name, ...(await signIn(sdk, brief, metadataUrl)) });

  for (const { name, sdk, metadataUrl } of all) {
    await t.test(`${name} signs in, calls tools, and is refused once revoked`, LIMIT, async () => {
      const session = await signIn(sdk, lasting, metadataUrl);
      assert.equal(session.provider.kept.client.client_id === clientId, metadataUrl !== undefined);
      await usesTools(session);
      await isRefusedOnceRevoked(session, lasting);
    });
  }
  for (const session of expiring) {
    await t.test(`${session.name} refreshes after expiry`, LIMIT, () => refreshesAfterExpiry(session, brief));
  }
  assert.ok(documents.requests.every(({ url }) => url === '/client.json'));
});

test('hallpass run needs no configuration for an official client', LIMIT, async (t) => {
  const hallpass = await run(t, { upstream: await everything(t) });
  for (const sdk of SDKS) {
    const { client } = await signIn(sdk, hallpass);
    assert.equal(await echo(client, sdk.name), `Echo: ${sdk.name}`);
    await client.close();
  }
});

test('a person who declines is told to the client, and nothing is allowed', LIMIT, async (t) => {
  const hallpass = await run(t, { upstream: await everything(t) });
  const [sdk] = SDKS;
  const provider = new Provider();
  await assert.rejects(connect(sdk, hallpass, provider), sdk.UnauthorizedError);
  const redirect = await hallpass.person.authorize(provider.kept.authorizationUrl.href, 'deny');
  assert.equal(redirect.searchParams.get('error'), 'access_denied');
  assert.equal(redirect.searchParams.get('state'), provider.kept.state);
  assert.equal(redirect.searchParams.get('iss'), hallpass.issuer);
  assert.equal(redirect.searchParams.has('code'), false);
});

async function connect(sdk, hallpass, provider) {
  const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  const transport = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
  await client.connect(transport);
  return { client, transport };
}

/** The whole authorization: refused, sent to the person, answered, connected. */
async function signIn(sdk, hallpass, metadataUrl) {
  const provider = new Provider(metadataUrl);
  const first = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
  const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  await assert.rejects(client.connect(first), sdk.UnauthorizedError);
  const redirect = await hallpass.person.authorize(provider.kept.authorizationUrl.href);
  assert.equal(redirect.href.split('?')[0], provider.redirectUrl);
  assert.equal(redirect.searchParams.get('state'), provider.kept.state);
  assert.equal(redirect.searchParams.get('iss'), hallpass.issuer);
  await sdk.finish(first, redirect);
  assert.ok(provider.kept.tokens.refresh_token, 'a refresh token');
  const connected = await connect(sdk, hallpass, provider);
  return { sdk, provider, ...connected };
}

async function usesTools({ sdk, client, transport }) {
  const { tools } = await client.listTools();
  assert.ok(tools.some(({ name }) => name === 'echo'), 'echo is listed');
  assert.equal(await echo(client, 'hi'), 'Echo: hi');

  // Progress comes while the tool works, not all at its end: nothing on the way holds the stream back.
  const times = [];
  const call = { name: 'trigger-long-running-operation', arguments: { duration: 2.4, steps: 4 } };
  const onprogress = () => times.push(Date.now());
  await sdk.callTool(client, call, { onprogress });
  assert.equal(times.length, 4);
  assert.ok(times[3] - times[0] > 500, `progress within ${times[3] - times[0]} ms`);
  assert.ok(transport.sessionId, 'a session');
}

async function isRefusedOnceRevoked({ sdk, client, provider }, hallpass) {
  const { access_token: token, refresh_token: refresh } = provider.kept.tokens;
  assert.equal((await initialize(hallpass.url, token)).status, 200);
  await hallpass.person.open(`${hallpass.issuer}/account`);
  await hallpass.person.press('action', 'revoke');
  const took = await refusedAfter(hallpass.url, token, 30);
  assert.ok(took < 5000, `refused after ${took} ms`);

  const answer = await initialize(hallpass.url, token);
  assert.match(answer.headers['www-authenticate'], /error="invalid_token"/);
  // The client tries its refresh token, is refused, and asks the person again.
  delete provider.kept.authorizationUrl;
  await assert.rejects(echo(client, 'revoked'), sdk.UnauthorizedError);
  assert.ok(provider.kept.authorizationUrl, 'the person is asked again');
  assert.notEqual(provider.kept.tokens?.refresh_token, refresh);
  await client.close();
}

async function refreshesAfterExpiry({ client, provider }, hallpass) {
  const before = provider.kept.tokens;
  await refusedAfter(hallpass.url, before.access_token, 60);
  delete provider.kept.authorizationUrl;
  assert.equal(await echo(client, 'after expiry'), 'Echo: after expiry');
  const after = provider.kept.tokens;
  assert.notEqual(after.access_token, before.access_token);
  assert.notEqual(after.refresh_token, before.refresh_token);
  assert.equal(provider.kept.authorizationUrl, undefined, 'nobody is asked');
  await client.close();
}

async function echo(client, message) {
  const { content } = await client.callTool({ name: 'echo', arguments: { message } });
  return content[0].text;
}

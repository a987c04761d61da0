// A server on stdio that knows only the newest revision, behind hallpass, for official clients of the old wire and of the new one.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import * as v1 from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as V1Stdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as V1Http } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import * as v2 from '@modelcontextprotocol/client';
import { binary } from './lib/hallpass.mjs';
import { Person } from './lib/person.mjs';
import { folder, freePort, start } from './lib/programs.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };
const SERVER = [process.execPath, fileURLToPath(new URL('./lib/newest-only.mjs', import.meta.url))];
const INFO = { name: 'hallpass-e2e', version: '1' };
const asks = { capabilities: { elicitation: {} } };
const pinned = (pin) => ({ ...asks, versionNegotiation: { mode: { pin } } });

const CLIENTS = [
  {
    name: 'the first SDK, in a session',
    session: true,
    make: () => new v1.Client(INFO, asks),
    elicits: (client, handler) => client.setRequestHandler(ElicitRequestSchema, handler),
    transport: (url, authProvider) => new V1Http(url, { authProvider }),
    ...SDKS[0],
  },
  {
    name: 'the second SDK, without a session',
    session: false,
    make: () => new v2.Client(INFO, pinned('2026-07-28')),
    elicits: (client, handler) => client.setRequestHandler('elicitation/create', handler),
    transport: (url, authProvider) => new v2.StreamableHTTPClientTransport(url, { authProvider }),
    ...SDKS[1],
  },
];

test('the server really refuses older clients', LIMIT, async () => {
  const [command, ...args] = SERVER;
  const client = new v1.Client(INFO);
  await assert.rejects(client.connect(new V1Stdio({ command, args, stderr: 'ignore' })), /-32022|[Uu]nsupported/);
});

test('a server on stdio that knows only the newest revision', LIMIT, async (t) => {
  const port = await freePort();
  const program = start(t, binary(), ['run', '--state', folder(t), '--port', String(port), '--', ...SERVER], { cwd: folder(t) });
  const [, url] = await program.says(/MCP URL: (http\S+)/);
  const [, setupLink] = await program.says(/Setup link: (http\S+)/);
  const person = new Person();
  await person.setUp(setupLink);

  for (const { session, make, elicits, transport, UnauthorizedError, finish, callTool, ...sdk } of CLIENTS) {
    await t.test(sdk.name, LIMIT, async () => {
      const provider = new Provider();
      const first = transport(new URL(url), provider);
      await assert.rejects(make().connect(first), UnauthorizedError);
      await finish(first, await person.authorize(provider.kept.authorizationUrl.href));
      const client = make();
      const questions = [];
      let sure = { action: 'accept', content: { sure: true } };
      elicits(client, async ({ params }) => {
        questions.push(params.message);
        return sure;
      });
      const wire = transport(new URL(url), provider);
      await client.connect(wire);
      assert.equal(wire.sessionId !== undefined, session);
      assert.deepEqual([client.getServerVersion().name, client.getServerVersion().version, client.getInstructions()], ['newest-only', '1.2.3', 'Be kind']);
      assert.deepEqual((await client.listTools()).tools.map(({ name }) => name), ['echo', 'delete']);
      const said = async (name, args) => (await callTool(client, { name, arguments: args })).content[0].text;
      assert.equal(await said('echo', { message: 'hi' }), 'Echo: hi');
      assert.equal(await said('delete', { what: 'this' }), 'this is deleted');
      sure = { action: 'accept', content: { sure: false } };
      assert.equal(await said('delete', { what: 'that' }), 'that stays');
      sure = { action: 'decline' };
      assert.equal(await said('delete', { what: 'all' }), 'nobody said anything');
      assert.deepEqual(questions, ['Delete this?', 'Delete that?', 'Delete all?']);
      if (session) await client.ping();
      await client.close();
    });
  }
});

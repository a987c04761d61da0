// The official client of the newest revision, which knows no sessions, and a real MCP server on stdio, which knows nothing
// else: hallpass stands between the two.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { binary } from './lib/hallpass.mjs';
import { Person } from './lib/person.mjs';
import { children, isAlive, processes, until } from './lib/processes.mjs';
import { folder, freePort, start } from './lib/programs.mjs';
import { Provider } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };
const REVISION = '2026-07-28';
const COMMAND = [process.execPath, createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js'), 'stdio'];

test('a server on stdio, and the official client of the newest revision', LIMIT, async (t) => {
  const hallpass = await runCommand(t);
  const direct = new Client({ name: 'hallpass-e2e', version: '1' });
  const [command, ...args] = COMMAND;
  await direct.connect(new StdioClientTransport({ command, args, stderr: 'ignore' }));
  const expected = await answers(direct);
  await direct.close();
  const ada = await signIn(hallpass, hallpass.person);

  await t.test('it gets what the server answers directly', LIMIT, async () => {
    assert.equal(ada.client.getNegotiatedProtocolVersion(), REVISION);
    assert.equal(ada.transport.sessionId, undefined, 'no session');
    assert.deepEqual(await answers(ada.client), expected);
  });

  await t.test('progress comes as it happens', LIMIT, async () => {
    const times = [];
    const call = { name: 'trigger-long-running-operation', arguments: { duration: 2.4, steps: 4 } };
    const { content } = await ada.client.callTool(call, { onprogress: () => times.push(Date.now()) });
    assert.match(content[0].text, /Long running operation completed/);
    assert.equal(times.length, 4);
    assert.ok(times[3] - times[0] > 500, `progress within ${times[3] - times[0]} ms`);
  });

  await t.test('two people have two processes, and each keeps theirs', LIMIT, async () => {
    const [own] = children(hallpass.pid);
    assert.deepEqual(children(hallpass.pid), [own], 'one for all that was asked until now');
    const bob = await signIn(hallpass, await newcomer(t, hallpass, 'bob'));
    assert.equal(await echo(bob.client, 'bob'), 'Echo: bob');
    assert.equal(children(hallpass.pid).length, 2);
    const again = await connect(hallpass, bob.provider);
    await Promise.all([echo(again.client, 'again'), echo(bob.client, 'bob'), echo(ada.client, 'ada')]);
    assert.equal(children(hallpass.pid).length, 2, 'the same person with the same client');

    process.kill(own, 'SIGKILL');
    assert.equal(await until(() => isAlive(own), false), false);
    assert.equal(await echo(bob.client, 'bob'), 'Echo: bob', "another's crash is nobody else's");
    assert.equal(await echo(ada.client, 'ada'), 'Echo: ada', 'a new one');
    assert.equal(children(hallpass.pid).length, 2);
    await Promise.all([again, bob].map(({ client }) => client.close()));
  });

  await t.test('no process is left when hallpass stops', LIMIT, async () => {
    const left = children(hallpass.pid);
    assert.ok(left.length > 0);
    await hallpass.program.stop();
    assert.equal(await until(() => left.filter(isAlive).length, 0), 0);
    await ada.client.close();
  });
});

async function runCommand(t) {
  const port = await freePort();
  const state = folder(t);
  const program = start(t, binary(), ['run', '--state', state, '--port', String(port), '--', ...COMMAND], { cwd: folder(t) });
  const [, url] = await program.says(/MCP URL: (http\S+)/);
  const [, setupLink] = await program.says(/Setup link: (http\S+)/);
  const person = new Person();
  await person.setUp(setupLink);
  const [[pid]] = processes().filter(([, , words]) => words.includes(` --port ${port} `) && words.startsWith(binary()));
  return { program, url, person, pid, state, port };
}

/** A second person, with an account that the operator makes. */
async function newcomer(t, { state, port }, name) {
  const program = start(t, binary(), ['user', 'add', name, '--state', state, '--port', String(port)]);
  const [link] = await program.says(/http\S+/);
  assert.equal(await program.ends(), 0, program.output);
  const person = new Person({ name, password: 'another horse battery staple' });
  await person.setUp(link);
  return person;
}

const newClient = () => new Client({ name: 'hallpass-e2e', version: '1' }, { versionNegotiation: { mode: { pin: REVISION } } });

async function signIn(hallpass, person) {
  const provider = new Provider();
  const first = new StreamableHTTPClientTransport(new URL(hallpass.url), { authProvider: provider });
  await assert.rejects(newClient().connect(first), UnauthorizedError);
  await first.finishAuth((await person.authorize(provider.kept.authorizationUrl.href)).searchParams);
  return connect(hallpass, provider);
}

async function connect(hallpass, provider) {
  const client = newClient();
  const transport = new StreamableHTTPClientTransport(new URL(hallpass.url), { authProvider: provider });
  await client.connect(transport);
  return { client, transport, provider };
}

/** What has to be the same with and without us. */
async function answers(client) {
  const call = (name, args) => client.callTool({ name, arguments: args });
  // What the newest revision has besides, and what it has no more.
  const plain = ({ ttlMs, cacheScope, resultType, _meta, ...rest }) => rest;
  const ofTheNewest = ({ tools }) => ({ tools: tools.map(({ execution, ...tool }) => tool) });
  const all = {
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    tools: ofTheNewest(await client.listTools()),
    prompts: await client.listPrompts(),
    templates: await client.listResourceTemplates(),
    echo: await call('echo', { message: 'hi \u2028 "there"\n' }),
    sum: await call('get-sum', { a: 2, b: 3 }),
    image: await call('get-tiny-image', {}),
    prompt: await client.getPrompt({ name: 'simple-prompt' }),
  };
  const read = structuredClone(Object.fromEntries(Object.entries(all).map(([name, one]) => [name, typeof one === 'object' ? plain(one) : one])));
  const code = (promise) => promise.then(plain, (error) => ({ code: error.code }));
  return { ...read, wrong: await code(call('get-sum', { a: 'x' })), unknown: await code(call('no-such-tool', {})) };
}

async function echo(client, message) {
  const { content } = await client.callTool({ name: 'echo', arguments: { message } });
  return content[0].text;
}

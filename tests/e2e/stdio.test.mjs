// A real MCP server on stdio behind `hallpass run -- node …`, compared with what it answers when it is started directly.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { binary, serve } from './lib/hallpass.mjs';
import { Person } from './lib/person.mjs';
import { children, isAlive, processes, until } from './lib/processes.mjs';
import { folder, freePort, start } from './lib/programs.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };
const MAIN = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');

test('a server on stdio behind hallpass run', LIMIT, async (t) => {
  const hallpass = await runCommand(t);
  const direct = new Client({ name: 'hallpass-e2e', version: '1' });
  await direct.connect(new StdioClientTransport({ command: process.execPath, args: [MAIN, 'stdio'], stderr: 'ignore' }));
  const expected = await answers(SDKS[0], direct);
  await direct.close();

  for (const sdk of SDKS) {
    await t.test(`${sdk.name} gets what the server answers directly`, LIMIT, async () => {
      const { client, transport } = await signIn(sdk, hallpass);
      assert.ok(transport.sessionId, 'a session');
      assert.deepEqual(client.getServerVersion(), direct.getServerVersion());
      assert.deepEqual(await answers(sdk, client), expected);
      await progressComesAsItHappens(sdk, client);
      await transport.terminateSession();
      await client.close();
    });
  }

  await t.test('each session has a process of its own, which ends with it', LIMIT, async () => {
    assert.equal(await until(() => children(hallpass.pid).length, 0), 0, 'those from before are gone');
    const [sdk] = SDKS;
    const one = await signIn(sdk, hallpass);
    const two = await again(sdk, hallpass, one.provider);
    assert.equal(children(hallpass.pid).length, 2);
    assert.notEqual(one.transport.sessionId, two.transport.sessionId);
    await one.transport.terminateSession();
    assert.equal(await until(() => children(hallpass.pid).length, 1), 1);
    assert.equal(await echo(two.client, 'still here'), 'Echo: still here');

    const [pid] = children(hallpass.pid);
    process.kill(pid, 'SIGKILL');
    await assert.rejects(echo(two.client, 'crashed'));
    const three = await again(sdk, hallpass, one.provider);
    assert.equal(await echo(three.client, 'a new one'), 'Echo: a new one');
    await three.transport.terminateSession();
    await Promise.all([one, two, three].map(({ client }) => client.close()));
  });

  await t.test('the server sees what it is given and none of our secrets', LIMIT, async () => {
    const [sdk] = SDKS;
    const { client, transport } = await signIn(sdk, hallpass);
    const { content } = await sdk.callTool(client, { name: 'get-env', arguments: {} });
    const env = JSON.parse(content[0].text);
    assert.equal(env.GREETING, 'hello');
    assert.equal(env.PASSED, 'yes');
    assert.ok(env.PATH);
    assert.equal('SECRET_OF_THE_OPERATOR' in env, false);
    await transport.terminateSession();
    await client.close();
  });

  await t.test('no process is left when hallpass stops', LIMIT, async () => {
    const { client } = await signIn(SDKS[0], hallpass);
    const left = children(hallpass.pid);
    assert.ok(left.length > 0);
    const begin = Date.now();
    await hallpass.program.stop();
    assert.ok(Date.now() - begin < 15_000, `stopped after ${Date.now() - begin} ms`);
    assert.equal(hallpass.program.code, 0);
    assert.equal(await until(() => left.filter(isAlive).length, 0), 0);
    await client.close();
  });
});

test('a command that cannot be started is told to the operator and not to the client', LIMIT, async (t) => {
  const mistyped = start(t, binary(), ['run', '--state', folder(t), '--', '/no/such/program']);
  assert.equal(await mistyped.ends(), 1, 'who types it is told at once');
  assert.match(mistyped.output, /there is no program "\/no\/such\/program"/);
  const hallpass = await serve(t, { command: ['/no/such/program'] });
  await assert.rejects(signIn(SDKS[0], hallpass), (error) => /cannot be started/.test(error.message) && !/such/.test(error.message));
  await hallpass.program.says(/no\/such\/program/);
});

test('scopes by tool: an official client steps up with one more sign-in', LIMIT, async (t) => {
  const hallpass = await serveRules(t);
  for (const sdk of SDKS) {
    const { client, provider, transport } = await signIn(sdk, hallpass);
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map(({ name }) => name), ['echo', 'get-sum'], 'what no rule names is not shown');
    assert.equal(await echo(client, 'read'), 'Echo: read');
    delete provider.kept.authorizationUrl;
    const sum = { name: 'get-sum', arguments: { a: 2, b: 3 } };
    await assert.rejects(sdk.callTool(client, sum), sdk.UnauthorizedError);
    const asked = new URL(provider.kept.authorizationUrl).searchParams.get('scope').split(' ');
    assert.ok(asked.includes('read') && asked.includes('write'), `asked for ${asked}`);
    await sdk.finish(transport, await hallpass.person.authorize(provider.kept.authorizationUrl.href));
    const { content } = await sdk.callTool(client, sum);
    assert.match(content[0].text, /5/);
    await assert.rejects(sdk.callTool(client, { name: 'get-env', arguments: {} }), (error) => !(error instanceof sdk.UnauthorizedError));
    await client.close();
  }
});

/** The first generation of the client answers a challenge with its refresh token where it has one, and gives up. */
async function serveRules(t) {
  const port = await freePort();
  const dir = folder(t);
  const text = (value) => JSON.stringify(value);
  writeFileSync(join(dir, 'hallpass.toml'), `
public_url = ${text(`http://localhost:${port}`)}
listen = ${text(`127.0.0.1:${port}`)}
[tokens]
refresh_tokens = "offline_access"
[[server]]
name = "everything"
path = "/mcp"
command = ${text([process.execPath, MAIN, 'stdio'])}
scopes = [{ name = "read", title = "Read" }, { name = "write", title = "Write" }]
required_scopes = ["read"]
[[server.rules]]
tools = ["echo"]
[[server.rules]]
tools = ["get-su*"]
scopes = ["write"]
`);
  return ready(start(t, binary(), ['serve', '--config', 'hallpass.toml'], { cwd: dir }));
}

async function runCommand(t, command = [process.execPath, MAIN, 'stdio']) {
  const port = await freePort();
  const args = ['run', '--state', folder(t), '--port', String(port), '--env', 'GREETING=hello', '--env', 'PASSED', '--', ...command];
  const env = { PASSED: 'yes', SECRET_OF_THE_OPERATOR: 'x' };
  const program = start(t, binary(), args, { cwd: folder(t), env });
  const started = await ready(program);
  const [[pid]] = processes().filter(([, , words]) => words.includes(` --port ${port} `) && words.startsWith(binary()));
  return { ...started, pid };
}

async function ready(program) {
  const [, url] = await program.says(/MCP URL: (http\S+)/);
  const [, setupLink] = await program.says(/Setup link: (http\S+)/);
  const person = new Person();
  await person.setUp(setupLink);
  return { program, url, person };
}

async function signIn(sdk, hallpass) {
  const provider = new Provider();
  const first = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
  const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  await assert.rejects(client.connect(first), sdk.UnauthorizedError);
  await sdk.finish(first, await hallpass.person.authorize(provider.kept.authorizationUrl.href));
  return again(sdk, hallpass, provider);
}

async function again(sdk, hallpass, provider) {
  const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  const transport = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
  await client.connect(transport);
  return { client, transport, provider };
}

/** What has to be the same with and without us. */
async function answers(sdk, client) {
  const call = (name, args) => sdk.callTool(client, { name, arguments: args });
  return structuredClone({
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
    tools: await client.listTools(),
    prompts: await client.listPrompts(),
    templates: await client.listResourceTemplates(),
    echo: await call('echo', { message: 'hi \u2028 "there"\n' }),
    sum: await call('get-sum', { a: 2, b: 3 }),
    image: await call('get-tiny-image', {}),
    wrong: await call('get-sum', { a: 'x' }).catch((error) => ({ code: error.code })),
    unknown: await call('no-such-tool', {}).catch((error) => ({ code: error.code })),
  });
}

async function progressComesAsItHappens(sdk, client) {
  const times = [];
  const call = { name: 'trigger-long-running-operation', arguments: { duration: 2.4, steps: 4 } };
  const { content } = await sdk.callTool(client, call, { onprogress: () => times.push(Date.now()) });
  assert.match(content[0].text, /Long running operation completed/);
  assert.equal(times.length, 4);
  assert.ok(times[3] - times[0] > 500, `progress within ${times[3] - times[0]} ms`);
}

async function echo(client, message) {
  const { content } = await client.callTool({ name: 'echo', arguments: { message } });
  return content[0].text;
}

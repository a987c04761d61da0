// A client that only knows stdio, the official one, uses a protected server through `hallpass connect`.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { commands, signIn } from './lib/commands.mjs';
import { binary, everything, run } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { atEnd, folder, start } from './lib/programs.mjs';

const INSPECTOR = join(dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/inspector/package.json')), 'clients/launcher/build/index.js');
const LIMIT = { timeout: 240_000 };

test('hallpass connect: sign-in, tools, progress, a request of the server', LIMIT, async (t) => {
  const { url, issuer, person } = await run(t, { upstream: await everything(t) });
  const hallpass = commands(t);
  const { client, transport } = bridged(t, url, hallpass);
  const said = signInWhenAsked(transport, issuer, person);
  await client.connect(transport);

  const { tools } = await client.listTools();
  assert.ok(tools.some(({ name }) => name === 'echo'));
  const echo = await client.callTool({ name: 'echo', arguments: { message: 'hi' } });
  assert.equal(echo.content[0].text, 'Echo: hi');

  const steps = [];
  const long = { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 3 } };
  await client.callTool(long, undefined, { onprogress: ({ progress }) => steps.push(progress) });
  assert.deepEqual(steps.slice(0, 2), [1, 2]);

  const sampled = await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'say it' } });
  assert.match(JSON.stringify(sampled.content), /from the client/);

  // Many at once, each with its own answer.
  const words = Array.from({ length: 50 }, (_, at) => `word ${at}`);
  const answers = await Promise.all(words.map((message) => client.callTool({ name: 'echo', arguments: { message } })));
  assert.deepEqual(answers.map(({ content }) => content[0].text), words.map((word) => `Echo: ${word}`));

  const keys = () => [...said().matchAll(/The key to your sign-ins is new, and in its file: \S+credentials\.key/g)].length;
  assert.equal(keys(), 1, said());

  const other = bridged(t, url, hallpass);
  const saidThere = signInWhenAsked(other.transport, issuer, person);
  await other.client.connect(other.transport);
  assert.ok((await other.client.listTools()).tools.length > 0, 'a second program needs no second sign-in');

  await client.close();
  await other.client.close();
  assert.equal(keys(), 1, 'said once');
  assert.doesNotMatch(saidThere(), /key to your sign-ins/, 'and only by who made it');

  const token = await hallpass('token', url);
  assert.equal(token.code, 0, token.output);
  const used = await exchange(url, { method: 'POST', headers: { authorization: `Bearer ${token.stdout.trim()}` } });
  assert.notEqual(used.status, 401, 'the token is good');
  const exec = await hallpass('exec', url, '--', 'sh', '-c', 'test -n "$MCP_TOKEN" && exit 7');
  assert.equal(exec.code, 7, exec.output);
});

test("the Inspector's command line through hallpass connect", LIMIT, async (t) => {
  const { url, issuer, person } = await run(t, { upstream: await everything(t) });
  const hallpass = commands(t);
  await signIn(hallpass.begin('login', '--no-browser', url), issuer, person);
  const config = join(folder(t), 'mcp.json');
  const env = { XDG_DATA_HOME: hallpass.env.XDG_DATA_HOME };
  writeFileSync(config, JSON.stringify({ mcpServers: { notes: { type: 'stdio', command: binary(), args: ['connect', url], env } } }));
  const inspector = async (...args) => {
    const program = start(t, process.execPath, [INSPECTOR, '--cli', '--config', config, '--server', 'notes', ...args], { env: { HOME: hallpass.env.HOME } });
    assert.equal(await program.ends(), 0, program.output);
    return JSON.parse(program.stdout);
  };
  const { tools } = await inspector('--method', 'tools/list');
  assert.ok(tools.some(({ name }) => name === 'echo'));
  const { content } = await inspector('--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'message=hi');
  assert.equal(content[0].text, 'Echo: hi');
  const { resources } = await inspector('--method', 'resources/list');
  const read = await inspector('--method', 'resources/read', '--uri', resources[0].uri);
  assert.equal(read.contents[0].uri, resources[0].uri);
  const { prompts } = await inspector('--method', 'prompts/list');
  assert.ok(prompts.length > 0);
  const long = await inspector('--method', 'tools/call', '--tool-name', 'trigger-long-running-operation', '--tool-arg', 'duration=1', 'steps=2');
  assert.match(JSON.stringify(long), /completed/i);
});

function bridged(t, url, { env }) {
  const args = ['connect', '--no-browser', url];
  const transport = new StdioClientTransport({ command: binary(), args, env, stderr: 'pipe' });
  const client = new Client({ name: 'stdio only', version: '1' }, { capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    model: 'none',
    role: 'assistant',
    content: { type: 'text', text: 'from the client' },
  }));
  atEnd(t, () => client.close());
  return { client, transport };
}

/** Does what the line on standard error asks a person to do. What it says there so far. */
function signInWhenAsked(transport, issuer, person) {
  let said = '';
  let asked = false;
  transport.stderr.setEncoding('utf8').on('data', async (text) => {
    said += text;
    const page = said.match(new RegExp(`${issuer}/\\S*\\?\\S*code_challenge=\\S+(?=\\s)`));
    if (!page || asked) return;
    asked = true;
    await exchange((await person.authorize(page[0])).href);
  });
  return () => said;
}

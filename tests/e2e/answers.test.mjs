// A real server from npm, the MCP project's own sample, asked everything once by the official SDK: each tool, prompt and resource
// is answered behind hallpass as it is without, on stdio and over HTTP.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { pause } from './lib/conformance/things.mjs';
import { everything } from './lib/hallpass.mjs';
import { until } from './lib/processes.mjs';
import { RULES, throughHallpass } from './lib/suite.mjs';

const LIMIT = { timeout: 240_000 };
const MAIN = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');

/** Those that the server has for a client that can be asked, with what each is given. */
const TOOLS = {
  echo: { message: 'hi \u2028 "there"\n' },
  'get-annotated-message': { messageType: 'error', includeImage: true },
  'get-env': {},
  'get-resource-links': { count: 4 },
  'get-resource-reference': { resourceType: 'Blob', resourceId: 7 },
  'get-roots-list': {},
  'get-structured-content': { location: 'Chicago' },
  'get-sum': { a: 2, b: 0.5 },
  'get-tiny-image': {},
  'gzip-file-as-resource': { name: 'hello.gz', data: 'data:text/plain,hello', outputType: 'resource' },
  'simulate-research-query': { topic: 'hallpasses' },
  'toggle-simulated-logging': {},
  'toggle-subscriber-updates': {},
  'trigger-elicitation-request': {},
  'trigger-long-running-operation': { duration: 0.2, steps: 2 },
  'trigger-sampling-request': { prompt: 'Who goes there?' },
  'trigger-url-elicitation': { url: 'https://example.com/form', elicitationId: 'the-first' },
};

/** This one is a task or nothing. */
const TASK = 'simulate-research-query';

const PROMPTS = {
  'simple-prompt': {},
  'args-prompt': { city: 'Bern', state: 'BE' },
  'completable-prompt': { department: 'Sales', name: 'Eve' },
  'resource-prompt': { resourceType: 'Text', resourceId: '3' },
};

const WATCHED = 'demo://resource/dynamic/text/1';

test('a server from npm answers behind hallpass what it answers without', LIMIT, async (t) => {
  const command = [process.execPath, MAIN, 'stdio'];
  const expected = await answers(new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: 'ignore' }));
  const http = await everything(t);
  const ways = [
    ['on stdio', (t) => throughHallpass(t, { command })],
    ['on stdio, with lists that are filtered', (t) => throughHallpass(t, { command, after: RULES })],
    ['over HTTP', (t) => throughHallpass(t, { upstream: http })],
    ['over HTTP, with lists that are filtered', (t) => throughHallpass(t, { upstream: http, after: RULES })],
  ];
  for (const [what, url] of ways) {
    await t.test(what, LIMIT, async (t) => {
      assert.deepEqual(await answers(new StreamableHTTPClientTransport(new URL(await url(t)))), expected);
    });
  }
});

/** Everything that it says, without what is another each time. */
async function answers(transport) {
  const { client, heard } = await connect(transport);
  // As it came: the types of the SDK would leave out what they do not know.
  const ask = (method, params = {}, options = {}) =>
    client.request({ method, params }, types.ResultSchema, options).catch(({ code, message, data }) => ({ code, message, data }));
  const said = { server: client.getServerVersion(), capabilities: client.getServerCapabilities(), instructions: client.getInstructions() };
  for (const list of ['tools', 'prompts', 'resources', 'resources/templates']) said[list] = await ask(`${list}/list`);
  const names = (list) => said[list][list].map(({ name }) => name).sort();
  assert.deepEqual([names('tools'), names('prompts')], [Object.keys(TOOLS).sort(), Object.keys(PROMPTS).sort()], 'everything is asked for');
  assert.ok(said.resources.resources.length > 3);

  said.subscribed = await ask('resources/subscribe', { uri: WATCHED });
  for (const [name, given] of Object.entries(TOOLS)) {
    said[`tool ${name}`] = await ask('tools/call', { name, arguments: given }, { onprogress: () => {} });
  }
  said.task = await task(ask);
  for (const [name, given] of Object.entries(PROMPTS)) said[`prompt ${name}`] = await ask('prompts/get', { name, arguments: given });
  const uris = [...said.resources.resources.map(({ uri }) => uri), WATCHED, 'demo://resource/dynamic/blob/2', 'demo://resource/session/hello.gz'];
  for (const uri of uris) said[`resource ${uri}`] = await ask('resources/read', { uri });
  said.unsubscribed = await ask('resources/unsubscribe', { uri: WATCHED });
  await others(ask, said);

  assert.equal(await until(() => [...heard].some((one) => one.includes('resources/updated')), true), true, 'it is told of a change');
  said.heard = [...heard].sort();
  await transport.terminateSession?.();
  await client.close();
  return same(said);
}

/** A client that can be asked, and what it was asked and told. */
async function connect(transport) {
  const capabilities = { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } };
  const client = new Client({ name: 'hallpass-e2e', version: '1' }, { capabilities });
  client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///there', name: 'There' }] }));
  const content = { name: 'Ann', check: true, integer: 7, number: 2.5, titledMultipleSelectEnum: ['fish-1', 'fish-3'] };
  client.setRequestHandler(types.ElicitRequestSchema, ({ params }) => ({ action: 'accept', ...(params.mode !== 'url' && { content }) }));
  const message = { role: 'assistant', content: { type: 'text', text: 'A friend' } };
  client.setRequestHandler(types.CreateMessageRequestSchema, () => ({ model: 'none', stopReason: 'endTurn', ...message }));
  await client.connect(transport);
  const heard = new Set();
  const own = transport.onmessage;
  transport.onmessage = (message, extra) => {
    const { method, params } = message;
    // The SDK would miss a notice that comes together with the answer.
    if (/^(elicitation|sampling)\/|(progress|resources\/updated)$/.test(method)) heard.add(JSON.stringify([method, { ...params, progressToken: undefined }]));
    own(message, extra);
  };
  return { client, heard };
}

/** From its beginning to its result. */
async function task(ask) {
  const begun = await ask('tools/call', { name: TASK, arguments: TOOLS[TASK], task: { ttl: 60_000 } });
  const { taskId } = begun.task ?? {};
  let ended = await ask('tasks/get', { taskId });
  while (ended.status === 'working') {
    await pause(200);
    ended = await ask('tasks/get', { taskId });
  }
  const all = { begun, ended, result: await ask('tasks/result', { taskId }) };
  assert.equal(ended.status, 'completed', JSON.stringify(all));
  return JSON.parse(JSON.stringify(all).replaceAll(taskId, 'TASK'));
}

async function others(ask, said) {
  const argument = (name, value) => ({ argument: { name, value } });
  const asked = {
    ping: ['ping'],
    level: ['logging/setLevel', { level: 'warning' }],
    'a word of a prompt': ['completion/complete', { ref: { type: 'ref/prompt', name: 'completable-prompt' }, ...argument('department', 'S') }],
    'a part of a URI': ['completion/complete', { ref: { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' }, ...argument('resourceId', '1') }],
    'a wrong argument': ['tools/call', { name: 'get-sum', arguments: { a: 'x' } }],
    'no such tool': ['tools/call', { name: 'no-such-tool', arguments: {} }],
    'no such prompt': ['prompts/get', { name: 'no-such-prompt' }],
    'no such resource': ['resources/read', { uri: 'demo://nowhere' }],
  };
  for (const [what, [method, params]] of Object.entries(asked)) said[what] = await ask(method, params);
}

/** What has to differ: times, the session, and the environment, of which `stdio.test.mjs` says what is in it. */
function same(said) {
  said['tool get-env'].content[0].text = typeof JSON.parse(said['tool get-env'].content[0].text);
  const readable = (key, value) => {
    const words = key === 'blob' ? Buffer.from(value, 'base64').toString() : '';
    return words.includes('created at') ? words : value;
  };
  const text = JSON.stringify(said, readable)
    .replace(/created at [\d:]+(\s[AP]M)?/g, 'created at TIME')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/ session (undefined|[\da-f-]{36})/g, ' session SESSION');
  return JSON.parse(text);
}

// The examples of the client library, run: a program with reqwest, one with hyper, one with rmcp, each signed in by ours, and a
// sub-agent with a narrower token.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { commands, signIn } from './lib/commands.mjs';
import { binary, everything, example, run, serve } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { folder, start } from './lib/programs.mjs';

const LIMIT = { timeout: 240_000 };

for (const [name, expected] of [['reqwest', /"serverInfo"/], ['tower', /"serverInfo"/], ['rmcp', /\becho\b/]]) {
  test(`the example ${name}`, LIMIT, async (t) => {
    const { url, person } = await run(t, { upstream: await everything(t) });
    const state = join(folder(t), 'state');
    const first = start(t, example(name), [url, state]);
    const [, page] = await first.says(/^OPEN (\S+)$/m);
    assert.equal((await exchange((await person.authorize(page)).href)).status, 200);
    assert.equal(await first.ends(), 0, first.output);
    assert.match(first.output, expected);
    const second = start(t, example(name), [url, state]);
    assert.equal(await second.ends(), 0, second.output);
    assert.match(second.stdout, /^ANSWER /, 'nobody is asked again');
  });
}

test('as_177 the example sub_agent', LIMIT, async (t) => {
  const hallpass = await serve(t, { upstream: await everything(t) });
  const agent = commands(t);
  await signIn(agent.begin('login', '--no-browser', hallpass.url), hallpass.issuer, hallpass.person);
  const { accounts } = JSON.parse((await agent('status', '--json')).stdout);
  const token = (await agent('token', hallpass.url)).stdout.trim();
  const words = ['--name', 'Researcher', '--auth', 'client_secret_post', '--exchange-from', accounts[0].client_id, '--json'];
  const added = start(t, binary(), ['client', 'add', ...words, '--config', hallpass.file]);
  assert.equal(await added.ends(), 0, added.output);
  const { client_id, client_secret } = JSON.parse(added.stdout);

  const acts = async (scope, lines) => {
    const program = start(t, example('sub_agent'), [hallpass.url, client_id, scope], { input: true });
    program.types(`${lines.join('\n')}\n`);
    await program.ends();
    return program;
  };
  const first = await acts('mcp', [client_secret, token]);
  assert.equal(first.code, 0, first.output);
  assert.match(first.stdout, /^GRANTED mcp$/m);
  assert.match(first.stdout, /^ANSWER .*"serverInfo"/m);
  // Neither more than the agent has, nor for somebody who is not let.
  const more = await acts('admin', [client_secret, token]);
  assert.notEqual(more.code, 0, more.output);
  assert.doesNotMatch(more.output, /ANSWER/);
  await agent('logout', hallpass.url);
  const late = await acts('mcp', [client_secret, token]);
  assert.notEqual(late.code, 0, 'it ends with what the agent has');
});

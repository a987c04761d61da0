// Three scopes, and tools that take one, two and three of them: each official client gets what it lacks with one more
// sign-in, and keeps what it had.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { everything, example, serve } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { start } from './lib/programs.mjs';
import { SDKS } from './lib/sdk.mjs';
import { scopesOf, Session, SETTINGS } from './lib/session.mjs';

const LIMIT = { timeout: 240_000 };
const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const PYTHON = path('.venv/bin/python');

const SERVER = `
[[server]]
name = "three"
path = "/three"
upstream = UPSTREAM
scopes = [{ name = "read", title = "Read" }, { name = "write", title = "Write" }, { name = "admin", title = "Administer" }]
required_scopes = ["read"]
[[server.rules]]
tools = ["echo"]
[[server.rules]]
tools = ["get-sum"]
scopes = ["write"]
[[server.rules]]
tools = ["get-tiny-image"]
scopes = ["write", "admin"]
`;

/** What is called one after the other, and which scopes there have to be then. Who has all is never asked again. */
const CALLS = [
  ['echo', { message: 'step' }, 'read'],
  ['get-tiny-image', {}, 'admin read write'],
  ['get-sum', { a: 2, b: 3 }, 'admin read write'],
  ['echo', { message: 'step' }, 'admin read write'],
];

/** Step by step: first what takes two scopes, then what takes all three. */
const STEPS = [
  ['get-sum', { a: 2, b: 3 }, 'read write'],
  ['get-tiny-image', {}, 'admin read write'],
  ['get-sum', { a: 2, b: 3 }, 'admin read write'],
];

for (const [at, sdk] of SDKS.entries()) {
  test(`${sdk.name} steps up`, LIMIT, async (t) => {
    const hallpass = await server(t, SETTINGS[at]);
    for (const [name, calls, signIns] of [['at once', CALLS, 2], ['step by step', STEPS, 3]]) {
      await t.test(name, LIMIT, async () => {
        const session = new Session(sdk, hallpass);
        await session.connect();
        for (const call of calls) await session.call(call);
        assert.equal(session.signIns, signIns);
        await session.client.close();
      });
    }
  });
}

test('the official Python client steps up', LIMIT, async (t) => {
  assert.ok(existsSync(PYTHON), 'no .venv: run these tests by `cargo xtask test`');
  const hallpass = await server(t, '');
  for (const [name, calls, signIns] of [['at once', CALLS, 2], ['step by step', STEPS, 3]]) {
    await t.test(name, LIMIT, async (t) => {
      const client = start(t, PYTHON, [path('python/step_up.py'), hallpass.url, JSON.stringify(calls.map(([tool, given]) => [tool, given]))]);
      for (let number = 1; number <= signIns; number += 1) {
        const [, url] = await client.says(new RegExp(`^OPEN ${number} (\\S+)\n`, 'm'));
        assert.equal((await exchange((await hallpass.person.authorize(url)).href)).status, 200);
      }
      assert.equal(await client.ends(), 0, client.output);
      const had = [...client.output.matchAll(/^HAD (.*)$/gm)].map(([, scopes]) => scopesOf(scopes));
      assert.deepEqual(had, calls.map(([, , scopes]) => scopes));
      assert.doesNotMatch(client.output, new RegExp(`^OPEN ${signIns + 1}`, 'm'));
    });
  }
});

test('rmcp steps up', LIMIT, async (t) => {
  const hallpass = await server(t, '');
  for (const [name, calls, signIns] of [['at once', CALLS, 2], ['step by step', STEPS, 3]]) {
    await t.test(name, LIMIT, async (t) => {
      const client = start(t, example('rmcp_steps_up'), [hallpass.url, JSON.stringify(calls.map(([tool, given]) => [tool, given]))], { input: true });
      for (let number = 1; number <= signIns; number += 1) {
        const [, url] = await client.says(new RegExp(`^OPEN ${number} (\\S+)\n`, 'm'));
        client.types(`${(await hallpass.person.authorize(url)).href}\n`);
      }
      assert.equal(await client.ends(), 0, client.output);
      const had = [...client.output.matchAll(/^HAD (.*)$/gm)].map(([, scopes]) => scopesOf(scopes));
      assert.deepEqual(had, calls.map(([, , scopes]) => scopes));
      assert.doesNotMatch(client.output, new RegExp(`^OPEN ${signIns + 1}`, 'm'));
    });
  }
});

/** The server with three scopes at /three, behind one that a test helper brings along. */
async function server(t, more) {
  const upstream = await everything(t);
  const hallpass = await serve(t, { upstream, more, after: SERVER.replace('UPSTREAM', JSON.stringify(upstream)) });
  return { ...hallpass, url: `${hallpass.issuer}/three` };
}

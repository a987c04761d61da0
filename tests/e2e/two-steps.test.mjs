// A sign-in in two steps, as scripts and agents do it: one command prints the page and ends, another one takes the answer.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { commands } from './lib/commands.mjs';
import { run } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';

const LIMIT = { timeout: 240_000 };
const NOTHING_BEGUN = 3;

test('cl_030 hallpass login --print-url, and --wait in another process', LIMIT, async (t) => {
  const { url, person } = await run(t);
  const hallpass = commands(t);
  const early = await hallpass('login', url, '--wait');
  assert.equal(early.code, NOTHING_BEGUN, early.output);
  assert.match(early.output, /Begin one: hallpass login \S+ --print-url/);

  const begun = await hallpass('login', url, '--print-url', '--json');
  assert.equal(begun.code, 0, begun.output);
  const { url: page, redirect_uri, ends_at } = JSON.parse(begun.stdout);
  assert.match(ends_at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  const left = (Date.parse(ends_at) - Date.now()) / 1000;
  assert.ok(left > 800 && left <= 900, `${left} s`);
  const status = await hallpass('status');
  assert.match(status.stdout, new RegExp(`^${url}\\n  account   default\\n  begun     for 14 min more: hallpass login ${url} --wait$`, 'm'));
  const { begun: waits } = JSON.parse((await hallpass('status', '--json')).stdout);
  assert.deepEqual(waits.map(({ server, account, redirect_uri: to }) => [server, account, to]), [[url, 'default', redirect_uri]]);
  const { searchParams } = new URL(page);
  assert.ok(!status.output.includes(searchParams.get('state')), 'nothing by which somebody else could answer');
  // Who stops waiting comes back.
  const stopped = hallpass.begin('login', url, '--wait');
  await stopped.says(/Waiting for the browser/);
  await stopped.stop();
  const none = await hallpass('login', url, '--wait', '--timeout', '0');
  assert.equal(none.code, 1, none.output);

  const waiting = hallpass.begin('login', url, '--wait', '--json');
  await waiting.says(/Waiting for the browser/);
  const redirect = await person.authorize(page);
  assert.ok(redirect.href.startsWith(redirect_uri), redirect.href);
  const stranger = new URL(redirect.href);
  stranger.searchParams.set('state', 'guess');
  assert.ok((await answered(stranger.href)).status >= 400);
  assert.equal((await answered(redirect.href)).status, 200);
  assert.equal(await waiting.ends(), 0, waiting.output);
  assert.equal(JSON.parse(waiting.stdout).renewable, true);
  assert.equal((await hallpass('list', url)).code, 0);
  const again = await hallpass('login', url, '--wait');
  assert.equal(again.code, NOTHING_BEGUN, 'once');
  assert.deepEqual(JSON.parse((await hallpass('status', '--json')).stdout).begun, []);
});

test('a port that is taken in between, and the answer pasted', LIMIT, async (t) => {
  const { url, person } = await run(t);
  const hallpass = commands(t);
  const begun = await hallpass('login', url, '--print-url', '--account', 'work');
  const page = begun.stdout.trim();
  const [, port] = /browser ends at port (\d+)/.exec(begun.output);
  assert.match(begun.output, new RegExp(`ssh -L ${port}:127.0.0.1:${port}`));
  const other = createServer().listen(Number(port), '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const taken = await hallpass('login', url, '--wait', '--account', 'work');
  assert.equal(taken.code, 1, taken.output);
  assert.match(taken.output, /--wait --paste/);
  const paste = hallpass.typing('login', url, '--wait', '--paste', '--account', 'work');
  await paste.says(/Paste the address/);
  paste.types(`${(await person.authorize(page)).href}\n`);
  assert.equal(await paste.ends(), 0, paste.output);
  other.close();
  assert.equal((await hallpass('list', url, '--account', 'work')).code, 0);
  const status = await hallpass('status', '--json');
  assert.ok(!status.output.includes('state=') && !status.output.includes('verifier'), status.output);
});

test('what does not go together is said', LIMIT, async (t) => {
  const hallpass = commands(t, { HALLPASS_CLIENT_METADATA_URL: 'https://client.example/client.json' });
  const url = 'http://127.0.0.1:9/mcp';
  for (const more of [
    ['--print-url', '--wait'],
    ['--print-url', '--no-browser'],
    ['--wait', '--scope', 'a'],
    ['--json'],
    ['--machine'],
    ['--machine', '--client-id', 'robot'],
    ['--machine', '--client-id', 'robot', '--client-secret-env', 'X', '--client-key-file', 'x.pem'],
    ['--client-id', 'x', '--client-metadata-url', 'https://client.example/client.json'],
  ]) {
    const wrong = await hallpass('login', url, ...more);
    assert.equal(wrong.code, 2, `${more}: ${wrong.output}`);
  }
  // A setting for all sign-ins is none against an id for one.
  const named = await hallpass('login', url, '--client-id', 'x', '--no-browser');
  assert.equal(named.code, 1, named.output);
  assert.match(named.output, /Nothing answers/);
});

/** The listener is open a moment after the command says that it waits. */
async function answered(href) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await exchange(href);
    } catch (error) {
      if (attempt === 300) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

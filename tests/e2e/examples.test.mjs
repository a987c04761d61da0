// The examples of the client library, run: a program with reqwest, one with hyper, one with rmcp, each signed in by ours.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { everything, example, run } from './lib/hallpass.mjs';
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

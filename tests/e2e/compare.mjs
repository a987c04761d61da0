// Any MCP server by the official suite, alone and behind hallpass: node compare.mjs REVISION URL [COMMAND…]
// URL is where the server answers by itself. With a command, hallpass runs that on stdio instead of asking the URL. What the
// suite finds otherwise behind hallpass is printed; nothing means that hallpass changes nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences, RULES, suite, throughHallpass } from './lib/suite.mjs';

const [revision, url, ...command] = process.argv.slice(2);
assert.ok(revision && URL.canParse(url), 'usage: node compare.mjs REVISION URL [COMMAND…]');
const MANY = 'max_processes_per_person = 64\n';

function count(found) {
  const all = [...found.values()];
  return all.reduce((counts, { status }) => ({ ...counts, [status]: (counts[status] ?? 0) + 1 }), {});
}

test(`${url} at ${revision}`, { timeout: 900_000 }, async (t) => {
  const which = { '--requirements': revision };
  const without = await suite(t, url, which);
  console.log('alone:', count(without));
  const server = command.length > 0 ? { command } : { upstream: url };
  const own = command.length > 0 ? MANY : '';
  for (const [what, after] of [['without rules', own], ['with lists that are filtered', own + RULES]]) {
    const found = await suite(t, await throughHallpass(t, { ...server, after }), which);
    console.log(`behind hallpass, ${what}:`, count(found), differences(without, found));
  }
  const guarded = await throughHallpass(t, { ...server, after: own });
  const rebinding = await suite(t, guarded, { '--scenario': 'dns-rebinding-protection' });
  console.log('pages of the internet, with a valid token:', count(rebinding));
  assert.ok([...rebinding.values()].every(({ status }) => status !== 'FAILURE'), 'hallpass keeps them out');
});

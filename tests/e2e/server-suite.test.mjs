// The server leg of the official conformance suite, against a server made for it: with hallpass in between it finds check by
// check what it finds without.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sessions } from './lib/conformance/sessions.mjs';
import { guarded, stateless } from './lib/conformance/stateless.mjs';
import { differences, listen, RULES, suite, throughHallpass } from './lib/suite.mjs';

const LIMIT = { timeout: 480_000 };

const REVISIONS = [
  { revision: '2025-11-25', upstream: sessions, checks: 91 },
  { revision: '2026-07-28', upstream: stateless, checks: 190 },
];

for (const { revision, upstream, checks } of REVISIONS) {
  test(`the official server suite finds the same with hallpass as without: ${revision}`, LIMIT, async (t) => {
    const direct = await listen(t, guarded(upstream()));
    const which = { '--requirements': revision };
    const without = await suite(t, direct, which);
    assert.ok(without.size >= checks, `${without.size} checks`);
    const bad = [...without].filter(([, { status }]) => /FAILURE|WARNING/.test(status));
    assert.deepEqual(bad, [], 'the server alone passes');

    for (const [what, after] of [['without rules', ''], ['with lists that are filtered', RULES]]) {
      await t.test(what, LIMIT, async (t) => {
        const shim = await throughHallpass(t, { upstream: direct, after });
        assert.deepEqual(differences(without, await suite(t, shim, which)), {});
      });
    }
  });
}

test('hallpass keeps pages of the internet from a server that does not, with a valid token', LIMIT, async (t) => {
  const unguarded = await listen(t, sessions());
  const shim = await throughHallpass(t, { upstream: unguarded });
  const which = { '--scenario': 'dns-rebinding-protection' };
  const without = await suite(t, unguarded, which);
  assert.deepEqual(differences(without, await suite(t, shim, which)), {
    'dns-rebinding-protection localhost-host-rebinding-rejected 1': ['FAILURE', 'SUCCESS'],
  });
});

test('the comparison sees what is lost on the way', LIMIT, async (t) => {
  const upstream = await listen(t, guarded(sessions()));
  const change = (headers) => headers.filter((_, at) => headers[at - (at % 2)].toLowerCase() !== 'last-event-id');
  const shim = await throughHallpass(t, { upstream, change });
  const which = { '--scenario': 'server-sse-polling' };
  const lost = differences(await suite(t, upstream, which), await suite(t, shim, which));
  assert.deepEqual(lost['server-sse-polling server-sse-disconnect-resume 1'], ['SUCCESS', 'WARNING']);
});

// The server leg of the official conformance suite against a server on stdio, for which hallpass speaks HTTP: it finds check
// by check what it finds when the same server speaks HTTP itself.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { sessions } from './lib/conformance/sessions.mjs';
import { guarded } from './lib/conformance/stateless.mjs';
import { differences, listen, suite, throughHallpass } from './lib/suite.mjs';

const LIMIT = { timeout: 240_000 };
const COMMAND = [process.execPath, join(import.meta.dirname, 'lib/conformance/stdio.mjs')];

/** What hallpass does not do for a server on stdio: streams are not resumed, and an answer alone needs none. */
const NOT_DONE = /^server-sse-polling |^server-sse-multiple-streams server-sse-streams-functional /;

test('a server on stdio is what it is over HTTP: 2025-11-25', LIMIT, async (t) => {
  const which = { '--requirements': '2025-11-25' };
  const without = await suite(t, await listen(t, guarded(sessions())), which);
  const shim = await throughHallpass(t, { command: COMMAND, after: 'max_processes_per_person = 64' });
  const found = await suite(t, shim, which);
  assert.ok(found.size > 80, `${found.size} checks`);
  assert.deepEqual(differences(without, found, (name) => !NOT_DONE.test(name)), {});
});

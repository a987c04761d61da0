// The official Python client, unmodified: signs in, calls tools, refreshes, and asks again once it was revoked.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { documentServer } from './lib/authority.mjs';
import { everything, serve, trusting } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { start } from './lib/programs.mjs';
import { Provider } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };
const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const PYTHON = path('.venv/bin/python');

test('the official Python client', LIMIT, async (t) => {
  assert.ok(existsSync(PYTHON), 'no .venv: run these tests by `cargo xtask test`');
  const documents = await documentServer(t);
  const document = documents.publish('/client.json', Provider.metadata('http://127.0.0.1/callback'));
  // It refreshes by its own clock, as soon as `expires_in` is over.
  const more = `[tokens]\naccess_token_lifetime = "2s"\n${trusting(documents)}`;
  const hallpass = await serve(t, { upstream: await everything(t), more });

  for (const [kind, url] of [['dynamic registration', ''], ['a metadata document', document]]) {
    await t.test(`with ${kind} signs in, refreshes, and asks again once revoked`, LIMIT, async (t) => {
      const client = start(t, PYTHON, [path('python/client.py'), hallpass.url, url]);
      const redirect = await hallpass.person.authorize((await client.says(/^OPEN (\S+)\n/m))[1]);
      assert.equal(redirect.searchParams.get('iss'), hallpass.issuer);
      assert.equal((await exchange(redirect.href)).status, 200);

      const first = JSON.parse((await client.says(/^TOKENS (.+)\n/m))[1]);
      assert.equal(first.client === document, url !== '');
      assert.ok(first.refresh_token, 'a refresh token');
      const next = JSON.parse((await client.says(/^TOKENS .+\nTOKENS (.+)\n/m))[1]);
      assert.notEqual(next.access_token, first.access_token);
      assert.notEqual(next.refresh_token, first.refresh_token);
      assert.doesNotMatch(client.output, /ASKED-AGAIN/);

      await hallpass.person.open(`${hallpass.issuer}/account`);
      await hallpass.person.press('action', 'revoke');
      await client.says(/^ASKED-AGAIN/m);
    });
  }
});

// The authorization leg of the official conformance suite, for both kinds of client that a stranger can be.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { documentServer } from './lib/authority.mjs';
import { everything, serve, trusting } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { folder, freePort, start } from './lib/programs.mjs';

const SUITE = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/dist/index.js');
const LIMIT = { timeout: 240_000 };

/** Every check that must have run. Without a client id the suite skips the grant and still ends green. */
const CHECKS = ['authorization-code-grant', 'authorization-server-metadata', 'authorization-server-metadata-cimd'];

test('conformance suite, authorization leg', LIMIT, async (t) => {
  const documents = await documentServer(t);
  const hallpass = await serve(t, { upstream: await everything(t), more: trusting(documents) });

  await t.test('a dynamically registered client', LIMIT, async (t) => {
    const port = await freePort();
    await passes(t, hallpass, port, await register(hallpass.issuer, metadata(port)));
  });

  await t.test('a client with a metadata document', LIMIT, async (t) => {
    const port = await freePort();
    await passes(t, hallpass, port, documents.publish('/conformance.json', metadata(port)));
  });
});

const metadata = (port) => ({
  client_name: 'Conformance suite',
  redirect_uris: [`http://127.0.0.1:${port}/callback`],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
});

async function register(issuer, document) {
  const headers = { 'content-type': 'application/json' };
  const answer = await exchange(`${issuer}/register`, { method: 'POST', headers, body: JSON.stringify(document) });
  assert.equal(answer.status, 201, answer.text);
  return JSON.parse(answer.text).client_id;
}

/** Runs the suite and acts as the person whom it asks to open a URL. */
async function passes(t, { issuer, url, person }, port, clientId) {
  const results = folder(t);
  const settings = { '--url': issuer, '--client-id': clientId, '--port': port, '--resource': url, '-o': results };
  const suite = start(t, process.execPath, [SUITE, 'authorization', ...Object.entries(settings).flat().map(String)]);
  const [authorizationUrl] = await suite.says(new RegExp(`^${issuer}\\S*\\?\\S*response_type=code\\S*$`, 'm'));
  await suite.says(/Waiting up to/);
  const redirect = await person.authorize(authorizationUrl);
  assert.equal((await exchange(redirect.href)).status, 200);
  assert.equal(await suite.ends(), 0, suite.output);

  const checks = readdirSync(results, { recursive: true })
    .filter((name) => name.endsWith('checks.json'))
    .flatMap((name) => JSON.parse(readFileSync(join(results, name), 'utf8')));
  assert.deepEqual(checks.map(({ id }) => id).sort(), CHECKS);
  assert.deepEqual(checks.filter(({ status }) => status !== 'SUCCESS'), []);
}

// This client's own metadata document: written, published on a real https server, looked at, and signed in with.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documentServer } from './lib/authority.mjs';
import { commands, signIn } from './lib/commands.mjs';
import { everything, serve, trusting } from './lib/hallpass.mjs';

const LIMIT = { timeout: 240_000 };

test('cl_020 hallpass document: what it writes is known everywhere', LIMIT, async (t) => {
  const documents = await documentServer(t);
  const { url, issuer, person } = await serve(t, { upstream: await everything(t), more: trusting(documents) });
  const hallpass = commands(t, { HALLPASS_CLIENT_CA: documents.ca, HALLPASS_CLIENT_PRIVATE_HOSTS: 'localhost' });
  const id = `${documents.origin}/hallpass.json`;
  const written = await hallpass('document', id, '--name', 'Our tools');
  assert.equal(written.code, 0, written.output);
  const document = JSON.parse(written.stdout);
  assert.equal(documents.publish('/hallpass.json', document), id);
  const good = await hallpass('document', id, '--check');
  assert.equal(good.code, 0, good.output);

  const named = commands(t, { HALLPASS_CLIENT_CA: documents.ca, HALLPASS_CLIENT_PRIVATE_HOSTS: 'localhost', HALLPASS_CLIENT_METADATA_URL: id });
  await signIn(named.begin('login', '--no-browser', url), issuer, person);
  const [{ client_id }] = JSON.parse((await named('status', '--json')).stdout).accounts;
  assert.equal(client_id, id, 'nothing was registered');

  documents.publish('/wrong.json', { ...document, client_id: id, client_secret: 'x' });
  const wrong = await hallpass('document', `${documents.origin}/wrong.json`, '--check');
  assert.equal(wrong.code, 1, wrong.output);
  assert.match(wrong.stdout, /client_id is not its address[\s\S]*everybody can read it/);
  const none = await hallpass('document', `${documents.origin}/none.json`, '--check');
  assert.match(none.stdout, /status 404/);
  assert.equal((await hallpass('document', 'http://tools.example/x.json')).code, 1);
});

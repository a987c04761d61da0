// Enterprise-managed authorization between two hallpass: people sign in at the company, and the program's own client goes from
// there to a server of somebody else without a page.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commands, signIn } from './lib/commands.mjs';
import { everything, serve } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { folder, freePort } from './lib/programs.mjs';

const LIMIT = { timeout: 240_000 };
const SIGN_IN_NEEDED = 3;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const atCompany = (secret, issuer) => `
[[client]]
id = "assistant"
name = "Assistant"
auth = "client_secret_basic"
secret_file = ${JSON.stringify(secret)}
redirect_uris = ["http://127.0.0.1/callback"]
grant_types = ["authorization_code", "refresh_token", "${EXCHANGE}"]

[[cross_domain_access]]
client = "assistant"
audience = "${issuer}"
client_id = "acme-assistant"
resources = ["${issuer}/mcp"]
scopes = ["mcp"]
`;

const atPartner = (secret, issuer, subject) => `
[[client]]
id = "acme-assistant"
name = "Assistant of Acme"
auth = "client_secret_basic"
secret_file = ${JSON.stringify(secret)}
grant_types = ["${JWT_BEARER}"]

[[identity_provider]]
issuer = "${issuer}"
accounts = { "${subject}" = "ada" }
`;

test('hallpass login --through, with hallpass on both sides', LIMIT, async (t) => {
  const dir = folder(t);
  const [here, there] = [join(dir, 'here.secret'), join(dir, 'there.secret')];
  writeFileSync(here, 'the-secret-of-the-assistant-here');
  writeFileSync(there, 'the-secret-of-the-assistant-there');
  const hallpass = commands(t);
  const upstream = await everything(t);
  const port = await freePort();
  const company = await serve(t, { upstream, after: atCompany(here, `http://localhost:${port}`) });

  await signIn(hallpass.begin('login', '--no-browser', '--client-id', 'assistant', '--client-secret-file', here, company.url), company.issuer, company.person);
  const token = (await hallpass('token', company.url)).stdout.trim();
  const { sub } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
  const partner = await serve(t, { upstream, port, after: atPartner(there, company.issuer, sub) });

  const unknown = await hallpass('login', '--through', company.url, partner.url);
  assert.equal(unknown.code, 1, unknown.output);
  assert.match(unknown.output, /--client-id and --client-secret-file/);

  const through = ['login', '--no-browser', '--through', company.url, '--client-id', 'acme-assistant', '--client-secret-file', there];
  const done = await hallpass(...through, partner.url);
  assert.equal(done.code, 0, done.output);
  assert.equal(done.stdout, '', 'no page was shown');
  const call = await hallpass('call', partner.url, 'tools/call', JSON.stringify({ name: 'echo', arguments: { message: 'hi' } }));
  assert.equal(call.code, 0, call.output);
  assert.match(call.stdout, /Echo: hi/);
  const status = JSON.parse((await hallpass('status', '--json')).stdout);
  const kept = status.accounts.find(({ server }) => server === partner.url);
  assert.deepEqual([kept.through, kept.renewable, kept.issuer], [company.url, true, partner.issuer]);

  // The company ends it: there is no next assertion.
  const metadata = JSON.parse((await exchange(`${company.issuer}/.well-known/oauth-authorization-server`)).text);
  assert.deepEqual(metadata.identity_chaining_requested_token_types_supported, ['urn:ietf:params:oauth:token-type:id-jag']);
  await hallpass('logout', company.url);
  const late = await hallpass(...through, partner.url);
  assert.equal(late.code, SIGN_IN_NEEDED, late.output);
  assert.match(late.output, new RegExp(`hallpass login ${company.url}`));
});

// People sign in at another provider, a real one of other people's making, and the official clients with them: our own question is
// always asked, nobody gets somebody else's account, and nothing that the provider gave is ever seen again.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Oidc from 'oidc-provider';
import { inspect, launch } from './lib/chromium.mjs';
import { binary, everything, serve } from './lib/hallpass.mjs';
import { Person } from './lib/person.mjs';
import { atEnd, folder, freePort, start } from './lib/programs.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };

test('the official clients sign in a person whom only the provider knows, with our question in between', LIMIT, async (t) => {
  const { hallpass, company } = await world(t);
  for (const [sdk, login] of [[SDKS[0], 'grace'], [SDKS[1], 'ada']]) {
    const person = new Person();
    const provider = new Provider();
    const first = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
    const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
    await assert.rejects(client.connect(first), sdk.UnauthorizedError);
    await person.open(provider.kept.authorizationUrl.href);
    const question = await signsIn(person, login);
    assert.match(question.words, /Use the tools/);
    assert.ok(question.forms.some((form) => form.buttons.some(({ name }) => name === 'decision')), question.words);
    await person.press('decision', 'allow');
    await sdk.finish(first, person.page.away);
    const transport = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
    await client.connect(transport);
    const answer = await sdk.callTool(client, { name: 'echo', arguments: { message: login } });
    assert.match(JSON.stringify(answer), new RegExp(login));
    await client.close();
    // Whoever is called there like the account that is here, is somebody else.
    await person.open(`${hallpass.issuer}/account`);
    assert.match(person.page.words, login === 'ada' ? /Signed in as ada-2/ : /Signed in as grace/);
    // The provider lets them through without a word now; we ask all the same.
    const again = new Provider();
    const third = new sdk.Transport(new URL(hallpass.url), { authProvider: again });
    await assert.rejects(new sdk.Client({ name: 'another', version: '1' }).connect(third), sdk.UnauthorizedError);
    await person.open(again.kept.authorizationUrl.href);
    assert.ok(person.page.forms.some((form) => form.buttons.some(({ name }) => name === 'decision')), person.page.words);
  }
  assert.ok(company.given.length >= 4, 'the provider gave tokens');
  for (const token of company.given) assert.ok(!hallpass.program.output.includes(token), 'no token is in the log');
});

test('an account is linked by command and on the account page, and a captured link signs nobody in', LIMIT, async (t) => {
  const { hallpass, company, file } = await world(t, { accounts: 'linked' });
  const stranger = new Person();
  await stranger.open(`${hallpass.issuer}/sign-in`);
  const refused = await signsIn(stranger, 'grace');
  assert.match(refused.words, /Nobody here is linked to your account at Company/);
  assert.match(refused.words, /you are called grace there/);
  const link = async (words) => {
    const command = start(t, binary(), ['user', ...words, '--config', file]);
    await command.ends();
    return command;
  };
  const wrong = await link(['link', 'ada', '--issuer', `${company.issuer}/`, '--subject', 'grace']);
  assert.match(wrong.output, /as it stands there/);
  const done = await link(['link', 'ada', '--issuer', company.issuer, '--subject', 'grace']);
  assert.equal(done.code, 0, done.output);
  const shown = JSON.parse((await link(['show', 'ada', '--json'])).stdout);
  assert.deepEqual(shown.links.map(({ issuer, subject }) => [issuer, subject]), [[company.issuer, 'grace']]);
  const grace = new Person();
  await grace.open(`${hallpass.issuer}/sign-in`);
  assert.match((await signsIn(grace, 'grace')).words, /Signed in as ada/);

  // Begun by one person, opened by another who is known to the provider.
  const eve = new Person();
  await eve.open(`${hallpass.issuer}/sign-in`);
  await eve.press('provider', 'company');
  const captured = eve.page.away.href;
  await grace.open(captured);
  for (let step = 0; step < 4 && !grace.page.away; step += 1) await goesOn(grace, 'grace');
  await grace.open(grace.page.away.href);
  assert.equal(grace.page.status, 403);
  assert.match(grace.page.words, /This browser did not ask for that/);

  const gone = await link(['unlink', 'ada', '--issuer', company.issuer, '--subject', 'grace']);
  assert.equal(gone.code, 0, gone.output);
  // By themselves, from an account that has a password.
  await hallpass.person.open(`${hallpass.issuer}/account`);
  await hallpass.person.press('action', 'link');
  await goesAway(hallpass.person, 'linus');
  assert.match(hallpass.person.page.words, /You are called linus there/);
  await hallpass.person.press('action', 'unlink');
  assert.match(hallpass.person.page.words, /Not linked/);
});

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

for (const [look, options] of [
  ['sign-in-light', { colorScheme: 'light', viewport: { width: 1280, height: 800 } }],
  ['sign-in-dark-390', { colorScheme: 'dark', viewport: { width: 390, height: 760 } }],
]) {
  test(`a real browser signs in at the provider and comes back: ${look}`, LIMIT, async (t) => {
    const { hallpass } = await world(t);
    const context = await browser.newContext(options);
    atEnd(t, () => context.close());
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => {
      const ours = message.location().url.startsWith(hallpass.issuer);
      if (message.type() === 'error' && ours && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
    });
    await page.goto(`${hallpass.issuer}/sign-in`);
    await inspect(page, `${look}-1-sign-in`, page);
    await page.getByRole('button', { name: 'Sign in with Company' }).click();
    await page.locator('input[name=login]').fill('grace');
    await page.locator('input[name=password]').fill('anything');
    await page.locator('button[type=submit]').click();
    await page.locator('form:has(input[name=prompt][value=consent]) button').click();
    await page.waitForURL(`${hallpass.issuer}/account`);
    await inspect(page, `${look}-2-account`, page);
    assert.equal(await page.getByText('Signed in as grace').count(), 1);
    assert.equal(await page.getByText('It is your only way to sign in.').count(), 1);
    await page.goto(`${hallpass.issuer}/sign-in/callback/company?code=x&state=y`);
    await inspect(page, `${look}-3-not-asked-for`, page);
    assert.deepEqual(complaints, []);
  });
}

/** Presses the button, signs in there, comes back: the page that it led to. */
async function signsIn(person, login) {
  await person.press('provider', 'company');
  return goesAway(person, login);
}

async function goesAway(person, login) {
  const own = new URL(person.page.url).origin;
  await person.open(person.page.away.href);
  for (let step = 0; step < 4 && person.page.away?.origin !== own; step += 1) await goesOn(person, login);
  return person.open(person.page.away.href);
}

/** One page of the provider. */
async function goesOn(person, login) {
  const asks = (name) => (form) => form.fields.some((field) => field.name === 'prompt' && field.value === name);
  if (person.page.forms.some(asks('login'))) return person.submit(asks('login'), undefined, { login });
  return person.submit(asks('consent'));
}

async function world(t, { accounts = 'create' } = {}) {
  const port = await freePort();
  const company = await openIdProvider(t, `http://localhost:${port}/sign-in/callback/company`);
  const secret = join(folder(t), 'company.secret');
  writeFileSync(secret, `${company.secret}\n`, { mode: 0o600 });
  const more = `
[[sign_in.provider]]
name = "company"
title = "Company"
issuer = ${JSON.stringify(company.issuer)}
client_id = "hallpass"
secret_file = ${JSON.stringify(secret)}
scopes = ["profile", "offline_access"]
parameters = { prompt = "consent" }
accounts = "${accounts}"
`;
  const hallpass = await serve(t, { upstream: await everything(t), port, more });
  return { hallpass, company, file: hallpass.file };
}

/** An OpenID provider that keeps claims about people for its userinfo endpoint, as the standard has it. */
async function openIdProvider(t, redirectUri) {
  const port = await freePort();
  const [issuer, secret] = [`http://localhost:${port}`, 'a-secret-of-the-operator-32-bytes-or-more'];
  const provider = new Oidc(issuer, {
    clients: [{
      client_id: 'hallpass',
      client_secret: secret,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    }],
    claims: { openid: ['sub'], profile: ['preferred_username'] },
    ttl: { AccessToken: 600, RefreshToken: 600, Grant: 600, Session: 600, Interaction: 600, IdToken: 600, AuthorizationCode: 60 },
    features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
    cookies: { keys: ['only a test'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, preferred_username: id }) }),
  });
  const given = [];
  provider.on('grant.success', ({ body }) => {
    for (const name of ['access_token', 'refresh_token', 'id_token']) if (body[name]) given.push(body[name]);
  });
  const server = http.createServer(provider.callback());
  await new Promise((resolve) => server.listen(port, 'localhost', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return { issuer, secret, given };
}

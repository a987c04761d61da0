// A second factor at sign-in, with codes that another program computes: turned on at the account page, asked for before an official
// client gets anything, good once; a recovery code in its place, once; taken away by an operator.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { inspect, launch } from './lib/chromium.mjs';
import { binary, everything, serve } from './lib/hallpass.mjs';
import { Person } from './lib/person.mjs';
import { atEnd, start } from './lib/programs.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 240_000 };

/** An authenticator app, after RFC 6238 and nothing of ours. */
class App {
  #key;
  #last = 0;

  /** What is in the QR code. */
  constructor(uri) {
    const { protocol, host, searchParams } = new URL(uri);
    assert.deepEqual([protocol, host, searchParams.get('digits'), searchParams.get('period'), searchParams.get('algorithm')], ['otpauth:', 'totp', '6', '30', 'SHA1']);
    const bits = [...searchParams.get('secret')].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
    this.#key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
    assert.equal(this.#key.length, 20);
  }

  /** A code that was not used yet: that of the next half minute where this one's was. The clock may be half a minute off. */
  next() {
    this.#last = Math.max(this.#last + 1, Math.floor(Date.now() / 30_000));
    return this.at(this.#last);
  }

  at(step) {
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(step));
    const mac = createHmac('sha1', this.#key).update(counter).digest();
    const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
    return String(number % 1_000_000).padStart(6, '0');
  }

  wrong() {
    const near = [-2, -1, 0, 1, 2, 3].map((by) => this.at(Math.floor(Date.now() / 30_000) + by));
    return ['000000', '000001', '000002', '000003', '000004', '000005', '000006'].find((code) => !near.includes(code));
  }
}

const typesCode = (form) => form.fields.some(({ name }) => name === 'code');
const asksPassword = (form) => form.fields.some(({ type }) => type === 'password');

async function turnsOn(person, issuer) {
  await person.open(`${issuer}/account/second-factor`);
  assert.equal(person.page.status, 200, person.page.words);
  const app = new App(person.page.html.match(/href="(otpauth:[^"]+)"/)[1].replaceAll(/&(amp|#38);/g, '&'));
  await person.submit(typesCode, { name: 'action', value: 'on' }, { code: app.next() });
  const codes = [...person.page.html.matchAll(/<li class="code small">([^<]+)</g)].map(([, code]) => code);
  assert.equal(codes.length, 10, person.page.words);
  return { app, codes };
}

/** Opens an authorization request and types name and password: the page for the code. */
async function firstFactor(url) {
  const person = new Person();
  await person.open(url);
  await person.submit(asksPassword, undefined, { name: 'ada' });
  assert.match(person.page.words, /Second step/);
  assert.equal(person.page.away, undefined);
  return person;
}

test('an official client gets a person in with both factors, and neither of them twice', LIMIT, async (t) => {
  const hallpass = await serve(t, { upstream: await everything(t) });
  const { app, codes } = await turnsOn(hallpass.person, hallpass.issuer);
  const [sdk] = SDKS;
  const begin = async () => {
    const provider = new Provider();
    const transport = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
    await assert.rejects(new sdk.Client({ name: 'hallpass-e2e', version: '1' }).connect(transport), sdk.UnauthorizedError);
    return { provider, transport, url: provider.kept.authorizationUrl.href };
  };
  const first = await begin();
  const person = await firstFactor(first.url);
  // With the first factor alone nothing opens, in this very browser.
  await person.open(`${hallpass.issuer}/account`);
  assert.match(person.page.words, /^Sign in/);
  await person.open(`${hallpass.issuer}/sign-in/code`);
  await person.submit(typesCode, undefined, { code: app.wrong() });
  assert.equal(person.page.status, 401);
  assert.match(person.page.words, /clock of your phone/);
  const code = app.next();
  await person.submit(typesCode, undefined, { code });
  await person.press('decision', 'allow');
  await sdk.finish(first.transport, person.page.away);
  const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
  await client.connect(new sdk.Transport(new URL(hallpass.url), { authProvider: first.provider }));
  assert.match(JSON.stringify(await sdk.callTool(client, { name: 'echo', arguments: { message: 'both' } })), /both/);
  await client.close();

  const again = await firstFactor((await begin()).url);
  await again.submit(typesCode, undefined, { code });
  assert.equal(again.page.status, 401);
  assert.match(again.page.words, /used already/);
  await again.open(`${hallpass.issuer}/sign-in/code?with=recovery`);
  await again.submit(typesCode, undefined, { code: codes[3].toUpperCase().replaceAll('-', ' ') });
  assert.ok(again.page.forms.some((form) => form.buttons.some(({ name }) => name === 'decision')), again.page.words);
  const third = await firstFactor((await begin()).url);
  await third.submit(typesCode, undefined, { code: codes[3] });
  assert.equal(third.page.status, 401);

  const command = async (...words) => {
    const program = start(t, binary(), ['user', ...words, '--config', hallpass.file]);
    await program.ends();
    assert.equal(program.code, 0, program.output);
    return program;
  };
  const shown = JSON.parse((await command('second-factor', 'ada', '--json')).stdout);
  assert.equal(shown.second_factor.recovery_codes_left, 9);
  await command('second-factor', 'ada', '--remove');
  assert.equal(JSON.parse((await command('show', 'ada', '--json')).stdout).second_factor, null);
  const without = new Person();
  await without.open(`${hallpass.issuer}/sign-in`);
  await without.submit(asksPassword, undefined, { name: 'ada' });
  assert.match(without.page.words, /Signed in as ada/);
  for (const secret of [code, ...codes]) assert.ok(!hallpass.program.output.includes(secret), 'no code is in the log');
});

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

for (const [look, options] of [
  ['second-factor-light', { colorScheme: 'light', viewport: { width: 1280, height: 800 } }],
  ['second-factor-dark-390', { colorScheme: 'dark', viewport: { width: 390, height: 844 } }],
]) {
  test(`a real browser: ${look}`, LIMIT, async (t) => {
    const more = '[sign_in]\nsecond_factor = "required"\n';
    const hallpass = await serve(t, { upstream: await everything(t), more, person: null });
    const context = await browser.newContext(options);
    atEnd(t, () => context.close());
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => {
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
    });
    // Everybody needs one: it is set up before the first account is signed in.
    await page.goto(hallpass.setupLink);
    await page.getByLabel('Name', { exact: true }).fill('ada');
    await page.getByLabel('Password').fill('correct horse battery staple');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.waitForURL(`${hallpass.issuer}/sign-in/code`);
    await inspect(page, `${look}-1-set-up`);
    const app = new App(await page.getByRole('link', { name: 'Open it in an app' }).getAttribute('href'));
    const typed = page.getByRole('textbox');
    await typed.fill(app.wrong());
    await page.getByRole('button', { name: 'Turn on' }).click();
    await inspect(page, `${look}-2-wrong-clock`);
    await typed.fill(app.next());
    await page.getByRole('button', { name: 'Turn on' }).click();
    await inspect(page, `${look}-3-recovery-codes`);
    const recovery = await page.locator('.codes li').first().textContent();
    await page.getByRole('link', { name: 'Go on' }).click();
    await page.waitForURL(`${hallpass.issuer}/account`);
    await inspect(page, `${look}-4-account`);
    await page.getByRole('link', { name: 'Change the second step' }).click();
    await inspect(page, `${look}-5-change`);
    await page.goto(`${hallpass.issuer}/account`);
    await page.getByRole('button', { name: 'Sign out here' }).click();
    await page.getByLabel('Name', { exact: true }).fill('ada');
    await page.getByLabel('Password').fill('correct horse battery staple');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await inspect(page, `${look}-6-code`);
    await page.getByRole('textbox').fill(app.wrong());
    await page.getByRole('button', { name: 'Sign in' }).click();
    await inspect(page, `${look}-7-wrong-code`);
    await page.getByRole('link', { name: 'Use a recovery code' }).click();
    await inspect(page, `${look}-8-recovery`);
    await page.getByLabel('Recovery code').fill(recovery);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForURL(`${hallpass.issuer}/account`);
    assert.match(await page.locator('main').innerText(), /Recovery codes left: 9/);
    assert.deepEqual(complaints, []);
  });
}

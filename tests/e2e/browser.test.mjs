// A real browser clicks through set-up, sign-in and consent: light, dark, narrow, with and without JavaScript.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { inspect, launch } from './lib/chromium.mjs';
import { byHand } from './lib/client.mjs';
import { run } from './lib/hallpass.mjs';
import { atEnd } from './lib/programs.mjs';

const LIMIT = { timeout: 240_000 };
const NAME = 'ada';
const PASSWORD = 'correct horse battery staple';
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 390, height: 760 };

const LOOKS = [
  { look: 'light', colorScheme: 'light', viewport: WIDE, javaScriptEnabled: true },
  { look: 'dark', colorScheme: 'dark', viewport: WIDE, javaScriptEnabled: true },
  { look: 'light-390', colorScheme: 'light', viewport: NARROW, javaScriptEnabled: true },
  { look: 'dark-390', colorScheme: 'dark', viewport: NARROW, javaScriptEnabled: true },
  { look: 'light-no-javascript', colorScheme: 'light', viewport: WIDE, javaScriptEnabled: false },
  { look: 'dark-390-no-javascript', colorScheme: 'dark', viewport: NARROW, javaScriptEnabled: false },
];

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

for (const { look, ...options } of LOOKS) {
  test(`a person sets up, signs in and decides: ${look}`, LIMIT, async (t) => {
    const hallpass = await run(t, { person: null });
    const client = await byHand(t);
    const { page, reader, complaints } = await tab(t, options);
    const see = (name) => inspect(page, `${look}-${name}`, reader);

    await setsUp(page, hallpass, see);
    await signsOutAndIn(page, hallpass, see);
    await allows(page, hallpass, client, see);
    await declines(page, hallpass, client);
    await takesBack(page, hallpass, see);
    assert.deepEqual(complaints, [], 'the browser complains about nothing');
  });
}

/** A new window whose errors, and whatever its security policy refused, are collected. */
async function tab(t, options) {
  const open = async (more) => {
    const context = await browser.newContext({ ...options, ...more });
    atEnd(t, () => context.close());
    return context.newPage();
  };
  const page = await open();
  const reader = options.javaScriptEnabled ? page : await open({ javaScriptEnabled: true });
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // Chromium logs every status above 399 of a page by itself; the tests look at those where they are expected.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
  });
  return { page, reader, complaints };
}

async function setsUp(page, { setupLink, issuer }, see) {
  await page.goto(setupLink);
  await see('1-set-up');
  await fillIn(page);
  await page.waitForURL(`${issuer}/account`);
  await see('2-account-empty');

  await page.goto(setupLink);
  assert.equal(new URL(page.url()).pathname, '/account', 'the link is used up');
}

async function signsOutAndIn(page, { issuer }, see) {
  await page.getByRole('button', { name: 'Sign out here' }).click();
  await page.waitForURL(`${issuer}/sign-in`);
  await see('3-sign-in');
  await fillIn(page, 'not the password');
  assert.equal(await page.getByRole('alert').count(), 1);
  await see('4-sign-in-wrong');
}

/** From the client's request over sign-in and consent to the client's redirect URI. */
async function allows(page, hallpass, client, see) {
  await page.goto(await client.authorizationUrl(hallpass));
  await see('5-sign-in-for-client');
  await fillIn(page);
  await page.locator('button[name=decision][value=allow]').waitFor();
  await see('6-consent');

  // The page in between moves on by itself. A client that answers 204 leaves it on the screen, for its link to be tried.
  client.answers = 204;
  const moved = client.asked();
  await page.locator('button[name=decision][value=allow]').click();
  await moved;
  await see('7-going-back');
  client.answers = 200;
  await page.getByRole('link').click();
  await page.waitForURL(`${client.redirectUri}?*`);
  const answer = new URL(page.url()).searchParams;
  assert.deepEqual([answer.get('state'), answer.get('iss')], ['a state', hallpass.issuer]);
  // A grant is there from the moment its code is redeemed.
  await client.redeem(answer.get('code'));
}

async function declines(page, hallpass, client) {
  await page.goto(await client.authorizationUrl(hallpass));
  await page.locator('button[name=decision][value=deny]').click();
  await page.waitForURL(`${client.redirectUri}?*`);
  assert.equal(new URL(page.url()).searchParams.get('error'), 'access_denied');
}

async function takesBack(page, hallpass, see) {
  await page.goto(`${hallpass.issuer}/account`);
  await see('8-account');
  await page.locator('button[value=revoke]').click();
  await page.locator('button[value=revoke]').waitFor({ state: 'detached' });
}

async function fillIn(page, password = PASSWORD) {
  await page.getByLabel('Name').fill(NAME);
  await page.getByLabel('Password').fill(password);
  await page.locator('form:has(input[type=password]) button').first().click();
}

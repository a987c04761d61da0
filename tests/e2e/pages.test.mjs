// A real browser looks at the pages that the usual way does not pass, and at what other sites can do with any of them.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { documentServer } from './lib/authority.mjs';
import { inspect, launch } from './lib/chromium.mjs';
import { byHand } from './lib/client.mjs';
import { run, serve, trusting } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { Person } from './lib/person.mjs';
import { atEnd, folder } from './lib/programs.mjs';

const LIMIT = { timeout: 240_000 };
const NAME = 'ada';
const PASSWORD = 'correct horse battery staple';
const FAR = 'https://client.example/callback';
const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM';
const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
const LOOKS = [
  { look: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { look: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { look: 'light-390', colorScheme: 'light', viewport: { width: 390, height: 844 } },
  { look: 'dark-390', colorScheme: 'dark', viewport: { width: 390, height: 844 } },
];

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

async function tab(t, options = {}) {
  const context = await browser.newContext(options);
  atEnd(t, () => context.close());
  await context.route('https://client.example/**', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>Client</title>' }));
  return context.newPage();
}

async function register(issuer, metadata) {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'], ...metadata });
  const answer = await exchange(`${issuer}/register`, { method: 'POST', headers, body });
  assert.equal(answer.status, 201, answer.text);
  return JSON.parse(answer.text).client_id;
}

function asks(issuer, client_id, redirect_uri, more = {}) {
  const parameters = {
    response_type: 'code', client_id, redirect_uri, state: 'a state', code_challenge: CHALLENGE, code_challenge_method: 'S256', ...more,
  };
  return `${issuer}/authorize?${new URLSearchParams(parameters)}`;
}

async function signIn(page, name = NAME) {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

for (const { look, ...options } of LOOKS) {
  test(`every other page can be read: ${look}`, LIMIT, async (t) => {
    const documents = await documentServer(t);
    const client = documents.publish('/client.json', {
      client_name: 'A documented client', redirect_uris: [FAR], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'],
    });
    // Only what is shown is of interest: no call is made through it.
    const secret = join(folder(t), 'git.secret');
    writeFileSync(secret, 'a-secret-of-the-operator\n', { mode: 0o600 });
    const connection = `[[connection]]\nname = "git"\ntitle = "Git"\nissuer = "https://git.example"\nclient_id = "hallpass"\nsecret_file = ${JSON.stringify(secret)}\nscopes = ["repo"]\n`;
    const more = `${trusting(documents)}${connection}`;
    const { issuer } = await serve(t, { upstream: 'http://127.0.0.1:9/mcp', more, after: 'connection = "git"', person: new Person() });
    const page = await tab(t, options);
    const see = (name) => inspect(page, `${look}-other-${name}`);

    for (const path of ['nowhere', 'setup', 'invitation?code=x', 'authorize', 'authorize?client_id=hpc_nobody']) {
      await page.goto(`${issuer}/${path}`);
      await see(path.replaceAll(/\W/g, '-'));
    }
    await page.goto(`${issuer}/nowhere`);
    assert.equal(await page.getByRole('link', { name: 'Your account' }).getAttribute('href'), '/account');
    await page.goto(asks(issuer, client, FAR, { login_hint: 'ada' }));
    assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'ada');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'password', 'the hint leaves the password to type');
    await see('sign-in-with-a-hint');
    await signIn(page);
    await see('consent-documented');
    await allowed(page, issuer, client);

    await page.goto(asks(issuer, client, FAR));
    assert.equal(await page.getByRole('heading', { name: 'You allowed this to it before' }).count(), 1);
    await see('consent-again');
    await page.goto(asks(issuer, client, FAR, { scope: 'unknown' }));
    assert.equal(page.url().startsWith(issuer), true, 'it waits');
    await see('fault-and-waiting');
    await page.getByRole('link', { name: 'Go on to client.example' }).click();
    await page.waitForURL(`${FAR}?error=invalid_scope*`);

    const alike = await register(issuer, { client_name: '\u0421laude for your documents, mail, calendar and more', redirect_uris: ['https://xn--80ak6aa92e.com/callback'] });
    await page.goto(asks(issuer, alike, 'https://xn--80ak6aa92e.com/callback'));
    await see('consent-look-alike');
    const app = await register(issuer, { client_name: 'An app', redirect_uris: ['cursor://anysphere.cursor-mcp/oauth/callback'] });
    await page.goto(asks(issuer, app, 'cursor://anysphere.cursor-mcp/oauth/callback', { prompt: 'select_account' }));
    await see('choose-an-account');
    await page.getByRole('link', { name: 'Go on as ada' }).click();
    await see('consent-app');
    await page.getByRole('button', { name: 'Not you? Switch account' }).click();
    await page.getByLabel('Password').waitFor();
    await signIn(page);
    await page.getByRole('button', { name: 'Allow', exact: true }).waitFor();

    await device(page, issuer, see);

    const phone = await tab(t, { ...options, userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1' });
    await phone.goto(`${issuer}/sign-in`);
    await signIn(phone);
    await phone.waitForURL(`${issuer}/account`);
    await page.goto(`${issuer}/account/connections`);
    await page.getByRole('button', { name: /Connect/ }).waitFor();
    await see('connections');
    await page.goto(`${issuer}/account`);
    await see('account');
    await page.getByRole('button', { name: /Sign out there: Safari on iPhone/ }).click();
    await page.getByRole('button', { name: /Sign out there: Safari on iPhone/ }).waitFor({ state: 'detached' });
    await phone.reload();
    assert.equal(phone.url(), `${issuer}/sign-in`);
  });
}

/** Lets a device in, looking at each page on the way. */
async function device(page, issuer, see) {
  const post = async (path, form, status) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await exchange(`${issuer}${path}`, { method: 'POST', headers, body: new URLSearchParams(form).toString() });
    assert.equal(answer.status, status, answer.text);
    return JSON.parse(answer.text);
  };
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  const client_id = await register(issuer, { client_name: 'A television in the living room', grant_types: [grant_type] });
  const { device_code, user_code, verification_uri_complete } = await post('/device_authorization', { client_id }, 200);
  await page.goto(`${issuer}/device`);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'user_code');
  await see('device');
  await page.getByLabel('Code').fill('none');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('alert').waitFor();
  await see('device-malformed');
  await page.goto(verification_uri_complete);
  await see('device-by-link');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('heading', { name: 'Looking for the device' }).waitFor();
  await see('device-waiting');
  assert.equal((await post('/token', { grant_type, client_id, device_code }, 400)).error, 'authorization_pending');
  // It goes on by itself.
  await page.getByRole('button', { name: 'Allow', exact: true }).waitFor({ timeout: 90_000 });
  await see('device-asks');
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.getByRole('heading', { name: 'Allowed' }).waitFor();
  await see('device-allowed');
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  await post('/token', { grant_type, client_id, device_code }, 200);
}

/** Allows what the page asks for, and redeems the code as the client would. */
async function allowed(page, issuer, client_id) {
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.waitForURL(`${FAR}?code=*`);
  const code = new URL(page.url()).searchParams.get('code');
  const body = new URLSearchParams({ grant_type: 'authorization_code', client_id, code, code_verifier: VERIFIER, redirect_uri: FAR }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await exchange(`${issuer}/token`, { method: 'POST', headers, body });
  assert.equal(answer.status, 200, answer.text);
}

test('t_10_as_095_no_other_site_frames_a_page_or_sends_a_form_in_a_persons_name', LIMIT, async (t) => {
  const hallpass = await run(t, { person: new Person() });
  const client = await byHand(t);
  const page = await tab(t);
  await page.goto(`${hallpass.issuer}/sign-in`);
  await signIn(page);
  await page.waitForURL(`${hallpass.issuer}/account`);
  const paths = ['/account', '/sign-in', '/nowhere', '/', '/setup', '/consent', new URL(await client.authorizationUrl(hallpass)).href.slice(hallpass.issuer.length)];
  const fields = '<input name="action" value="everywhere"><input name="csrf" value="x">';
  const evil = await site(t, `<!doctype html><title>Evil</title>
    ${paths.map((path) => `<iframe src="${hallpass.issuer}${path.replaceAll('&', '&amp;')}"></iframe>`).join('')}
    <form method="post" action="${hallpass.issuer}/account">${fields}<button>Win a prize</button></form>`);
  await page.goto(evil);
  const frames = page.frames().filter((frame) => frame !== page.mainFrame());
  assert.equal(frames.length, paths.length);
  for (const frame of frames) {
    await frame.waitForLoadState();
    assert.match(frame.url(), /^chrome-error:/, 'nothing of ours is in a frame');
  }
  await page.getByRole('button', { name: 'Win a prize' }).click();
  await page.getByRole('heading', { name: 'This form did not come from here' }).or(page.getByRole('heading', { name: 'Sign in' })).waitFor();
  await page.goto(`${hallpass.issuer}/account`);
  assert.equal(page.url(), `${hallpass.issuer}/account`, 'still signed in: the form did nothing');
});

test('as_106_t_14_the_client_gets_the_answer_without_fragment_or_referrer_and_nobody_else_is_asked', LIMIT, async (t) => {
  const hallpass = await run(t, { person: new Person() });
  const client = await byHand(t);
  const page = await tab(t);
  const asked = new Set();
  page.on('request', (request) => asked.add(new URL(request.url()).origin));
  await page.goto(`${await client.authorizationUrl(hallpass)}#access_token=planted`);
  await signIn(page);
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.waitForURL(`${client.redirectUri}?*`);
  assert.equal(new URL(page.url()).hash, '');
  assert.equal(await page.evaluate(() => document.referrer), '');
  assert.equal(client.headers.referer, undefined);
  assert.deepEqual([...asked].sort(), [hallpass.issuer, new URL(client.redirectUri).origin].sort());
});

/** A site of somebody else, on another port and by another name. */
async function site(t, html) {
  const server = http.createServer((_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end(html));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${server.address().port}/`;
}

test('rs_007 the address of an MCP server, opened in a browser', LIMIT, async (t) => {
  const { url, issuer } = await run(t);
  const get = async (accept) => {
    const answer = await fetch(`${url}?<script>alert(1)</script>`, { headers: { accept }, redirect: 'manual' });
    return { answer, text: await answer.text(), challenge: answer.headers.get('www-authenticate') };
  };
  const [page, client, signIn] = [await get('text/html,*/*;q=0.8'), await get('application/json, text/event-stream'), await fetch(`${issuer}/account`)];
  assert.deepEqual([page.answer.status, client.answer.status], [401, 401]);
  assert.match(page.challenge, /^Bearer resource_metadata=/);
  assert.equal(page.challenge, client.challenge);
  assert.match(client.text, /"jsonrpc"/);
  for (const part of ['This is the address of an MCP server', `<code>${url}</code>`, `hallpass login ${url}`, '/account"']) assert.ok(page.text.includes(part), part);
  assert.doesNotMatch(page.text, /alert/);
  // As every other page of ours.
  for (const name of ['content-security-policy', 'x-frame-options', 'x-content-type-options', 'referrer-policy', 'cross-origin-opener-policy', 'cache-control']) {
    assert.equal(page.answer.headers.get(name), signIn.headers.get(name), name);
  }
});

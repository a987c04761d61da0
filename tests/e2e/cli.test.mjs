// The program's own client, headless: sign in, call, look, sign out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commands, signIn } from './lib/commands.mjs';
import { binary, everything, run } from './lib/hallpass.mjs';
import { start } from './lib/programs.mjs';

const LIMIT = { timeout: 240_000 };
const SIGN_IN_NEEDED = 3;
const NOBODY_THERE = 5;

test('hallpass login, call, status, logout', LIMIT, async (t) => {
  const { url, issuer, person } = await run(t, { upstream: await everything(t) });
  const hallpass = commands(t);

  const early = await hallpass('call', url, 'tools/list');
  assert.equal(early.code, SIGN_IN_NEEDED, early.output);

  await signIn(hallpass.begin('login', '--no-browser', url), issuer, person);

  const list = await hallpass('call', url, 'tools/list');
  assert.equal(list.code, 0, list.output);
  assert.ok(named(JSON.parse(list.stdout), 'echo'), list.stdout);

  const lines = await hallpass('list', url);
  assert.match(lines.stdout, /^echo  \S/m, lines.output);
  const resources = await hallpass('list', url, 'resources', '--json');
  assert.ok(JSON.parse(resources.stdout).length > 0 && JSON.parse(resources.stdout)[0].uri, resources.output);

  const call = await hallpass('call', url, 'tools/call', JSON.stringify({ name: 'echo', arguments: { message: 'hi' } }));
  assert.equal(call.code, 0, call.output);
  assert.match(call.stdout, /Echo: hi/);

  const long = JSON.stringify({ name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 3 } });
  const progress = await hallpass('call', url, 'tools/call', long, '--json');
  assert.equal(progress.stdout.trim().split('\n').length, 1, progress.output);
  assert.match(JSON.parse(progress.stdout).content[0].text, /completed/);
  assert.match(progress.output, /^\{.*"notifications\/progress".*\}$/m);

  const status = await hallpass('status');
  assert.equal(status.code, 0, status.output);
  assert.ok(status.stdout.includes(url), status.stdout);
  assert.match(status.stdout, /token +renewed when needed; this one is good for \d+ min/);

  await person.open(`${issuer}/account`);
  assert.equal(revocable(person.page), 1);
  // Signed in again, the one before is over, and whoever had it in hand goes on with the new one.
  const again = hallpass.begin('login', '--no-browser', url);
  await signIn(again, issuer, person);
  assert.match(again.output, /The sign-in before this one is revoked/);
  await person.open(`${issuer}/account`);
  assert.equal(revocable(person.page), 1, 'one permission, not two');
  assert.equal((await hallpass('list', url)).code, 0);
  const logout = await hallpass('logout', url);
  assert.equal(logout.code, 0, logout.output);
  await person.open(`${issuer}/account`);
  assert.equal(revocable(person.page), 0, 'logout revokes what was allowed');

  const late = await hallpass('call', url, 'tools/list');
  assert.equal(late.code, SIGN_IN_NEEDED, late.output);
});

test('as_178 hallpass login --device, and a no', LIMIT, async (t) => {
  const { url, issuer, person } = await run(t);
  const hallpass = commands(t);
  const login = hallpass.begin('login', '--device', url);
  const [, code] = await login.says(/^([B-Z]{4}-[B-Z]{4})$/m);
  assert.ok(login.stdout.includes(`${issuer}/device\n${code}\n`), login.output);
  assert.doesNotMatch(login.output, /\u2588/, 'a picture is for a terminal');
  await person.letIn(issuer, code);
  assert.equal(await login.ends(), 0, login.output);
  const list = await hallpass('call', url, 'tools/list');
  assert.equal(list.code, 0, list.output);
  await person.open(`${issuer}/account`);
  assert.match(person.page.words, /a device on this computer/);

  const second = hallpass.begin('login', '--device', '--account', 'other', url);
  const [, other] = await second.says(/^([B-Z]{4}-[B-Z]{4})$/m);
  await person.letIn(issuer, other, 'deny');
  assert.equal(await second.ends(), 1, second.output);
  assert.match(second.output, /the permission was not given/);
});

test('hallpass login --paste, and nobody there', LIMIT, async (t) => {
  const { url, issuer, person } = await run(t);
  const hallpass = commands(t);
  const login = hallpass.typing('login', '--paste', url);
  const [authorizationUrl] = await login.says(new RegExp(`${issuer}/\\S*\\?\\S*code_challenge=\\S+`));
  login.types('http://127.0.0.1:1/callback?code=x&state=y\n');
  await login.says(/That is not the address/);
  const redirect = await person.authorize(authorizationUrl);
  login.types(`${redirect.href.replace('http://', '')}\n`);
  assert.equal(await login.ends(), 0, login.output);
  assert.equal((await hallpass('list', url)).code, 0);

  const alone = hallpass.typing('login', '--paste', '--account', 'other', url);
  await alone.says(/paste it here/);
  alone.types();
  assert.equal(await alone.ends(), NOBODY_THERE, alone.output);
  assert.match(alone.output, /nobody is there to sign in[\s\S]*--device/);
});

test('hallpass login where nobody can answer ends at once', LIMIT, async (t) => {
  const { url } = await run(t);
  // What opens pages would start a browser here, which ends at once and says so to nobody.
  const hallpass = commands(t, { DISPLAY: '', WAYLAND_DISPLAY: '', BROWSER: '', WSL_DISTRO_NAME: '' });
  const login = hallpass.begin('login', url);
  assert.equal(await login.ends(30), NOBODY_THERE, login.output);
  assert.match(login.output, /no terminal to show this on[\s\S]*nobody is there to sign in[\s\S]*--device/);
  // At a terminal somebody may open it elsewhere.
  const there = start(t, 'script', ['-qefc', `${binary()} login ${url}`, '/dev/null'], { env: hallpass.env, input: true });
  await there.says(/Open this URL yourself, no browser could be started/);
  await there.stop();
});

test('hallpass exec hands the token over by the way that is chosen', LIMIT, async (t) => {
  const { url, issuer, person } = await run(t);
  const hallpass = commands(t);
  await signIn(hallpass.begin('login', '--no-browser', url), issuer, person);
  const token = (await hallpass('token', url)).stdout.trim();
  const ways = [
    [[], 'printf %s "$MCP_TOKEN"'],
    [['--env', 'OTHER'], 'printf %s "$OTHER"; test -z "$MCP_TOKEN"'],
    [['--stdin'], 'read -r token; printf %s "$token"; test -z "$MCP_TOKEN"'],
    [['--fd'], 'read -r token < "/dev/fd/$MCP_TOKEN_FD"; printf %s "$token"; test -z "$MCP_TOKEN"'],
  ];
  for (const [words, script] of ways) {
    const exec = await hallpass('exec', url, ...words, '--', 'sh', '-c', script);
    assert.equal(exec.code, 0, exec.output);
    assert.equal(exec.stdout, token, words.join(' '));
  }
  for (const wrong of [['--env', 'A=B'], ['--env', ''], ['--stdin', '--fd'], ['--env', 'A', '--fd']]) {
    assert.equal((await hallpass('exec', url, ...wrong, '--', 'true')).code, 2, wrong.join(' '));
  }
});

test('a picture for a phone has no colours where none are wanted', LIMIT, async (t) => {
  const { url } = await run(t);
  const hallpass = commands(t);
  for (const [NO_COLOR, coloured] of [['', true], ['1', false]]) {
    const login = start(t, 'script', ['-qefc', `${binary()} login --device ${url}`, '/dev/null'], { env: { ...hallpass.env, NO_COLOR }, input: true });
    await login.says(/Give it to nobody/);
    assert.match(login.output, /\u2588/);
    assert.equal(login.output.includes('\u001b['), coloured);
    await login.stop();
  }
});

test('cl_097 hallpass call asks about a page at a terminal, and only there', LIMIT, async (t) => {
  const { url, issuer, person } = await run(t, { upstream: await everything(t) });
  const hallpass = commands(t);
  await signIn(hallpass.begin('login', '--no-browser', url), issuer, person);
  const params = JSON.stringify({ name: 'trigger-url-elicitation', arguments: { url: 'https://pay.example/confirm?id=1', message: 'Confirm' } });
  const unasked = await hallpass('call', url, 'tools/call', params);
  assert.equal(unasked.code, 4, 'without a terminal it is not offered');
  assert.doesNotMatch(unasked.output, /wants you to open/);
  const line = ['call', url, 'tools/call', params].map((word) => `'${word}'`).join(' ');
  for (const [typed, said] of [['n', /declined/i], ['y', /accepted|completed|opened/i]]) {
    const call = start(t, 'script', ['-qefc', `${binary()} ${line}`, '/dev/null'], { env: { ...hallpass.env, BROWSER: 'true' }, input: true });
    await call.says(/wants you to open a page[\s\S]*https:\/\/pay\.example\/confirm\?id=1[\s\S]*another host: pay\.example[\s\S]*\[y\/N\]/);
    call.types(`${typed}\n`);
    await call.ends();
    assert.match(call.output, said, call.output);
  }
});

test('the built-in demo server works the same way', LIMIT, async (t) => {
  const { url, issuer, person } = await run(t);
  const hallpass = commands(t);
  await signIn(hallpass.begin('login', '--no-browser', url), issuer, person);
  const list = await hallpass('call', url, 'tools/list');
  assert.equal(list.code, 0, list.output);
  assert.ok(JSON.parse(list.stdout));
});

const named = (value, name) => JSON.stringify(value).includes(`"name":${JSON.stringify(name)}`);
const revocable = (page) => page.forms.filter(({ buttons }) => buttons.some(({ value }) => value === 'revoke')).length;

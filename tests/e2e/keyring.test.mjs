// The key of the kept sign-ins in a real keyring (gnome-keyring, the Secret Service of a desktop), and in a command's hands.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commands, signIn } from './lib/commands.mjs';
import { run } from './lib/hallpass.mjs';
import { atEnd, folder, start } from './lib/programs.mjs';

const LIMIT = { timeout: 240_000 };

/** A desktop's session bus with an unlocked keyring, as variables for the programs of that desktop. */
async function desktop(t) {
  const home = folder(t);
  const runtime = join(home, 'run');
  mkdirSync(runtime, { mode: 0o700 });
  const script = 'printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; echo "BUS $DBUS_SESSION_BUS_ADDRESS"; exec cat';
  const env = { HOME: home, XDG_RUNTIME_DIR: runtime, XDG_DATA_HOME: join(home, 'data') };
  const session = start(t, 'dbus-run-session', ['--', 'sh', '-c', script], { env, input: true });
  // It ends with its input; a signal would leave the bus behind.
  const leave = async () => {
    session.types();
    await session.ends();
  };
  atEnd(t, leave);
  const [, bus] = await session.says(/^BUS (\S+)$/m);
  return { leave, env: { DBUS_SESSION_BUS_ADDRESS: bus, XDG_RUNTIME_DIR: runtime } };
}

test('p25 cl_061 the key lies in the keyring of the desktop', LIMIT, async (t) => {
  const { leave, env } = await desktop(t);
  const { url, issuer, person } = await run(t);
  const hallpass = commands(t, env);
  await signIn(hallpass.begin('login', '--no-browser', url), issuer, person);
  const { file, key_command } = JSON.parse((await hallpass('status', '--json')).stdout);
  assert.equal(key_command, null);
  const key = readFileSync(`${file}.key`);

  const on = await hallpass('keyring', 'on');
  assert.equal(on.code, 0, on.output);
  assert.ok(!on.output.includes(key.toString('hex')), 'the key is shown to nobody');
  const beside = readFileSync(`${file}.key`);
  assert.ok(!beside.includes(key) && beside.includes('secret-tool'), beside.toString());
  assert.equal((await hallpass('list', url)).code, 0);
  assert.match((await hallpass('status')).output, /its key comes from \/\S+secret-tool lookup/);
  // Whoever has the folder alone, without the desktop, has nothing; and nothing is made in its place.
  const outside = commands(t, { HALLPASS_CLIENT_STATE: join(file, '..'), DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' });
  const locked = await outside('list', url);
  assert.equal(locked.code, 1, locked.output);
  assert.match(locked.output, /is to come from `\S+secret-tool lookup/);
  assert.deepEqual(readFileSync(`${file}.key`), beside);

  const off = await hallpass('keyring', 'off');
  assert.equal(off.code, 0, off.output);
  assert.deepEqual(readFileSync(`${file}.key`), key);
  await leave();
  assert.equal((await hallpass('list', url)).code, 0, 'without the keyring again');
});

test('p25 cl_061 a new key goes into the keyring of the desktop, and nowhere else into one', LIMIT, async (t) => {
  const { leave, env } = await desktop(t);
  const { url, issuer, person } = await run(t);
  const atHome = { ...env, HALLPASS_CLIENT_KEYRING: '', DISPLAY: ':99', WAYLAND_DISPLAY: '', SSH_CONNECTION: '', SSH_CLIENT: '', SSH_TTY: '' };
  const place = async (hallpass) => JSON.parse((await hallpass('status', '--json')).stdout);
  // Forbidden, over SSH, without a display, without a bus, as a program: each in a home of its own.
  const nowhere = [
    { HALLPASS_CLIENT_KEYRING: 'off' },
    { SSH_CONNECTION: '192.0.2.1 1 192.0.2.2 22' },
    { DISPLAY: '' },
    { DBUS_SESSION_BUS_ADDRESS: '', XDG_RUNTIME_DIR: '/nonexistent' },
    { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' },
  ];
  for (const more of nowhere) {
    const hallpass = commands(t, { ...atHome, ...more });
    const begun = await hallpass('login', url, '--print-url');
    assert.equal(begun.code, 0, begun.output);
    assert.match(begun.output, /new, and in its file: \S+credentials\.key/);
    const { file, key_command } = await place(hallpass);
    assert.deepEqual([key_command, readFileSync(`${file}.key`).length], [null, 32], JSON.stringify(more));
  }
  const mistyped = await commands(t, { ...atHome, HALLPASS_CLIENT_KEYRING: 'no' })('status');
  assert.match(mistyped.output, /HALLPASS_CLIENT_KEYRING is no: write off/);

  const hallpass = commands(t, atHome);
  const login = hallpass.begin('login', '--no-browser', url);
  await signIn(login, issuer, person);
  assert.match(login.output, /new, and in the keyring of this system\. .*`hallpass keyring off`/);
  const { file, key_command } = await place(hallpass);
  assert.match(key_command, /secret-tool lookup/);
  assert.ok(readFileSync(`${file}.key`, 'utf8').includes('secret-tool'));
  assert.match((await hallpass('status')).output, /its key comes from \/\S+secret-tool lookup/);
  const again = hallpass.begin('login', '--no-browser', url);
  await signIn(again, issuer, person);
  assert.doesNotMatch(again.output, /key to your sign-ins/, 'said once');
  // A timer of the same person, later.
  const timer = commands(t, { HALLPASS_CLIENT_STATE: join(file, '..'), DISPLAY: '', WAYLAND_DISPLAY: '', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' });
  for (const words of [['list', url], ['status'], ['login', url, '--print-url']]) {
    const away = await timer(...words);
    assert.equal(away.code, 1, away.output);
    assert.match(away.output, /is to come from `\S+secret-tool lookup[^`]*`, which failed; .*nothing is lost.*`hallpass keyring off`/);
  }
  assert.equal((await hallpass('keyring', 'off')).code, 0);
  assert.equal((await timer('list', url)).code, 0);
  await leave();
});

test('p25 a command of the person\'s own brings the key', LIMIT, async (t) => {
  const { url, issuer, person } = await run(t);
  const hallpass = commands(t);
  await signIn(hallpass.begin('login', '--no-browser', url), issuer, person);
  const { file } = JSON.parse((await hallpass('status', '--json')).stdout);
  const key = readFileSync(`${file}.key`);
  const tool = join(folder(t), 'my vault');
  const vault = (text) => {
    writeFileSync(tool, `#!/bin/sh\n${text}\n`);
    chmodSync(tool, 0o700);
  };
  vault('exit 1');
  const refused = await hallpass('keyring', 'on', '--', tool, 'show');
  assert.equal(refused.code, 1, refused.output);
  vault(`echo ${Buffer.alloc(32).toString('base64')}`);
  const another = await hallpass('keyring', 'on', '--', tool, 'show');
  assert.equal(another.code, 1, another.output);
  assert.match(another.output, /another key than the one in use/);
  assert.deepEqual(readFileSync(`${file}.key`), key);
  vault(`test "$1" = show && echo ${key.toString('base64')}`);
  const on = await hallpass('keyring', 'on', '--', tool, 'show');
  assert.equal(on.code, 0, on.output);
  assert.equal((await hallpass('list', url)).code, 0);
  assert.ok(existsSync(file));
});

// The program's own client, as commands of a person with a home of their own.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { binary } from './hallpass.mjs';
import { exchange } from './http.mjs';
import { folder, start } from './programs.mjs';

/** Runs commands with a home of their own, and without a display that a browser could open on; `more` variables. */
export function commands(t, more = {}) {
  const home = folder(t);
  const env = { HOME: home, XDG_CONFIG_HOME: join(home, 'config'), XDG_DATA_HOME: join(home, 'data'), XDG_STATE_HOME: join(home, 'state'), ...more };
  const cwd = join(home, 'work');
  mkdirSync(cwd);
  const begin = (...args) => start(t, binary(), args, { env, cwd });
  const hallpass = async (...args) => {
    const program = begin(...args);
    await program.ends();
    return program;
  };
  Object.assign(hallpass, { begin, env });
  hallpass.typing = (...args) => start(t, binary(), args, { env, cwd, input: true });
  return hallpass;
}

/** Carries a `login --no-browser` that was begun to its end; gives the URL of the page that it asked for. */
export async function signIn(login, issuer, person) {
  const [authorizationUrl] = await login.says(new RegExp(`${issuer}/\\S*\\?\\S*code_challenge=\\S+`));
  const redirect = await person.authorize(authorizationUrl);
  const page = await exchange(redirect.href);
  assert.ok(page.status < 400, `${page.status} ${page.text}`);
  assert.equal(await login.ends(), 0, login.output);
  return authorizationUrl;
}

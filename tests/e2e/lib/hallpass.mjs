// Starts the program under test, and a real MCP server to put behind it.
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Person } from './person.mjs';
import { folder, freePort, start } from './programs.mjs';

/** The path of the built program. */
export function binary() {
  const path = process.env.HALLPASS_BIN;
  if (!path) throw new Error('HALLPASS_BIN is not set: run these tests by `cargo xtask test`');
  return path;
}

/** The path of a built example. */
export function example(name) {
  const path = join(dirname(binary()), 'examples', name);
  if (!existsSync(path)) throw new Error(`${path} was not built: run these tests by \`cargo xtask test\``);
  return path;
}

/** `hallpass run [upstream]`, with its first account made. */
export async function run(t, { upstream, state = folder(t), person = new Person() } = {}) {
  const port = await freePort();
  const args = ['run', ...(upstream ? [upstream] : []), '--state', state, '--port', String(port)];
  return ready(start(t, binary(), args, { cwd: folder(t) }), person);
}

/**
 * `hallpass serve --config` for one MCP server at /mcp, which is at a URL or a command; `more` goes into the file as it is,
 * `after` behind all else.
 */
export async function serve(t, { upstream, command, person = new Person(), more = '', after = '', port: known }) {
  const port = known ?? (await freePort());
  const dir = folder(t);
  const file = join(dir, 'hallpass.toml');
  const text = (value) => JSON.stringify(value);
  writeFileSync(file, `
public_url = ${text(`http://localhost:${port}`)}
listen = ${text(`127.0.0.1:${port}`)}
state = ${text(join(dir, 'state'))}
${more}
[[server]]
name = "everything"
path = "/mcp"
${command ? 'command' : 'upstream'} = ${text(command ?? upstream)}
title = "Everything"
scopes = [{ name = "mcp", title = "Use the tools" }]
${after}
`);
  return { ...(await ready(start(t, binary(), ['serve', '--config', file], { cwd: dir }), person)), file };
}

/** Configuration that lets hallpass fetch documents from a test server on localhost. */
export const trusting = (documents) => `[fetch]\nextra_ca = ${JSON.stringify(documents.ca)}\n[dangerous]\nprivate_hosts = ["localhost"]\n`;

/** `person: null` leaves the account to the test. */
async function ready(program, person) {
  const [, url] = await program.says(/MCP URL: (http\S+)/);
  const [, setupLink] = await program.says(/Setup link: (http\S+)/);
  if (person) await person.setUp(setupLink);
  return { program, url, issuer: new URL(url).origin, setupLink, person };
}

/** The MCP project's own sample server, over streamable HTTP. */
export async function everything(t) {
  const port = await freePort();
  const main = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');
  const program = start(t, process.execPath, [main, 'streamableHttp'], { env: { PORT: String(port) } });
  await program.says(/listening on port \d+/);
  return `http://127.0.0.1:${port}/mcp`;
}

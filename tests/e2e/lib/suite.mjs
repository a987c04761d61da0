// The server leg of the official conformance suite, run once, and what it found as lines that can be compared.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { byHand } from './client.mjs';
import { serve } from './hallpass.mjs';
import { atEnd, folder, start } from './programs.mjs';

const SUITE = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/dist/index.js');

/** Rules that allow everything: every list is then read, filtered and written anew. */
export const RULES = `
[[server.rules]]
tools = ["*"]
prompts = ["*"]
resources = ["*"]
`;

/** Listens on loopback until the test ends. The URL of its MCP endpoint. */
export async function listen(t, listener) {
  const server = http.createServer(listener);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return `http://localhost:${server.address().port}/mcp`;
}

/**
 * Stands where a client with a token would: the suite has none. `Host`, `Origin` and everything else pass as they came,
 * so that it is hallpass who judges them. `change` spoils what passes, for a proof that the comparison sees it.
 */
export const withToken = (url, token, change = (headers) => headers) => (request, answer) => {
  const { hostname, port, pathname } = new URL(url);
  const headers = change([...request.rawHeaders, 'Authorization', `Bearer ${token}`]);
  const sent = http.request({ host: hostname, port, path: pathname, method: request.method, headers, setHost: false, agent: false });
  sent.on('response', (got) => {
    answer.writeHead(got.statusCode, got.rawHeaders);
    answer.flushHeaders();
    got.pipe(answer);
    got.on('aborted', () => answer.destroy());
  });
  sent.on('error', () => answer.destroy());
  answer.on('close', () => sent.destroy());
  request.pipe(sent);
};

/** Runs it against a URL: all that a revision requires and what else it knows of it, or one scenario. Each check by name. */
export async function suite(t, url, which) {
  const results = folder(t);
  const words = Object.entries({ '--url': url, ...which, '-o': results }).flat();
  const program = start(t, process.execPath, [SUITE, 'server', ...words]);
  await program.ends(240);
  const found = new Map();
  for (const name of readdirSync(results, { recursive: true }).filter((one) => one.endsWith('checks.json')).sort()) {
    const [, scenario] = name.match(/^server-(.*?)-\d{4}-\d\d-\d\dT[^/]*\/checks\.json$/) ?? assert.fail(name);
    for (const check of JSON.parse(readFileSync(join(results, name), 'utf8'))) {
      const base = `${scenario} ${check.id}`;
      let occurrence = 1;
      while (found.has(`${base} ${occurrence}`)) occurrence += 1;
      found.set(`${base} ${occurrence}`, check);
    }
  }
  assert.ok(found.size > 0, program.output);
  return found;
}

/** The URL of a shim that adds a person's token, before hallpass, before a server. */
export async function throughHallpass(t, { change, ...server }) {
  const hallpass = await serve(t, server);
  const client = await byHand(t);
  const redirect = await hallpass.person.authorize(await client.authorizationUrl(hallpass));
  const { access_token: token } = await client.redeem(redirect.searchParams.get('code'));
  return listen(t, withToken(hallpass.url, token, change));
}

/** Checks that do not end the same, with how they end, of those that `counts`. */
export function differences(without, found, counts = () => true) {
  const names = [...new Set([...without.keys(), ...found.keys()])].filter(counts);
  const [one, other] = [without, found].map((all) => (name) => all.get(name)?.status);
  const differ = names.filter((name) => one(name) !== other(name));
  for (const name of differ) if (found.get(name)?.errorMessage) console.error(`${name}: ${found.get(name).errorMessage.slice(0, 300)}`);
  return Object.fromEntries(differ.map((name) => [name, [one(name), other(name)]]));
}

// The client leg of the official conformance suite, strict: one scenario at a time, and failures, warnings, timeouts
// and exit codes all count. The client is crates/conformance, which is the public API of hallpass-client and no more; for the bridge
// it is the official client on stdio.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { binary } from './lib/hallpass.mjs';
import { folder, start } from './lib/programs.mjs';

const SUITE = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/dist/index.js');
const LIMIT = { timeout: 180_000 };

const SESSION = '2025-11-25';
const STATELESS = '2026-07-28';
const BOTH = [SESSION, STATELESS];
const SINCE_JUNE = ['2025-06-18', ...BOTH];
const STATELESS_ONLY = [STATELESS];
const MARCH = ['2025-03-26'];

/** Where the suite wants a refusal, what the client says when it refuses: any error would do for the suite. */
const refuses = (revisions, words) => ({ revisions, words });

const SCENARIOS = {
  initialize: ['2025-06-18', SESSION],
  tools_call: SINCE_JUNE,
  'request-metadata': STATELESS_ONLY,
  'http-standard-headers': STATELESS_ONLY,
  'http-custom-headers': STATELESS_ONLY,
  'http-invalid-tool-headers': STATELESS_ONLY,
  'json-schema-ref-no-deref': STATELESS_ONLY,
  'json-schema-2020-12-preservation': BOTH,
  'auth/metadata-default': BOTH,
  'auth/metadata-var1': BOTH,
  'auth/metadata-var2': BOTH,
  'auth/metadata-var3': BOTH,
  'auth/basic-cimd': BOTH,
  'auth/scope-from-www-authenticate': BOTH,
  'auth/scope-from-scopes-supported': BOTH,
  'auth/scope-omitted-when-undefined': BOTH,
  'auth/scope-step-up': BOTH,
  'auth/scope-retry-limit': refuses(BOTH, /asks for more permissions: mcp:admin/),
  'auth/token-endpoint-auth-basic': SINCE_JUNE,
  'auth/token-endpoint-auth-post': SINCE_JUNE,
  'auth/token-endpoint-auth-none': SINCE_JUNE,
  'auth/pre-registration': BOTH,
  'auth/2025-03-26-oauth-metadata-backcompat': MARCH,
  'auth/2025-03-26-oauth-endpoint-fallback': MARCH,
  'auth/resource-mismatch': refuses(STATELESS_ONLY, /`resource` does not name the server/),
  'auth/offline-access-scope': STATELESS_ONLY,
  'auth/offline-access-not-supported': STATELESS_ONLY,
  'auth/authorization-server-migration': STATELESS_ONLY,
  'auth/iss-supported': STATELESS_ONLY,
  'auth/iss-not-advertised': STATELESS_ONLY,
  'auth/iss-supported-missing': refuses(STATELESS_ONLY, /did not say who it is/),
  'auth/iss-wrong-issuer': refuses(STATELESS_ONLY, /another authorization server than the one that was asked/),
  'auth/iss-unexpected': refuses(STATELESS_ONLY, /another authorization server than the one that was asked/),
  'auth/iss-normalized': refuses(STATELESS_ONLY, /another authorization server than the one that was asked/),
  'auth/metadata-issuer-mismatch': refuses(STATELESS_ONLY, /`issuer` is not identical/),
};

/** Extensions belong to no revision: each runs on both wires. */
const EXTENSIONS = [
  'auth/client-credentials-jwt',
  'auth/client-credentials-basic',
  'auth/enterprise-managed-authorization',
  'auth/dpop',
  'auth/dpop-nonce',
  'auth/wif-jwt-bearer',
];

const CONVERSATION = 'the server asks the client something, or a stream is resumed: shown through the bridge';
const SKILLS = 'about skills, which this client does not load';
const notYet = {
  'elicitation-sep1034-client-defaults': CONVERSATION,
  'sse-retry': CONVERSATION,
  'sep-2322-client-request-state': CONVERSATION,
  'sep-2640-client-no-prefetch': SKILLS,
  'sep-2640-client-verify-digest': SKILLS,
  'sep-2640-client-verify-size': SKILLS,
  'sep-2640-client-verify-frontmatter': SKILLS,
};

/** Scenarios without a sign-in, by the official client on stdio, which has the bridge for its server. */
const BRIDGED = {
  ...Object.fromEntries(Object.entries(SCENARIOS).filter(([name]) => !name.startsWith('auth/'))),
  'elicitation-sep1034-client-defaults': [SESSION],
  'sse-retry': [SESSION],
  'sep-2322-client-request-state': STATELESS_ONLY,
};

const revisionsOf = (row) => row.revisions ?? row;

test('conformance suite, client leg', { concurrency: 4, timeout: 900_000 }, async (t) => {
  const rows = [
    ...Object.entries(SCENARIOS).flatMap(([name, row]) => revisionsOf(row).map((revision) => [name, revision, row.words])),
    ...EXTENSIONS.flatMap((name) => BOTH.map((revision) => [name, revision])),
  ];
  const client = join(dirname(binary()), 'hallpass-conformance');
  assert.ok(existsSync(client), `${client} was not built`);
  await Promise.all(rows.map(([name, revision, words]) => t.test(`${name} at ${revision}`, LIMIT, (t) => passes(t, client, [name, revision], words))));
});

test('cl_099 conformance suite through the bridge', { concurrency: 2, timeout: 900_000 }, async (t) => {
  const client = `${process.execPath} ${fileURLToPath(new URL('lib/over-stdio.mjs', import.meta.url))}`;
  const rows = Object.entries(BRIDGED).flatMap(([name, revisions]) => revisions.map((revision) => [name, revision]));
  await Promise.all(rows.map((row) => t.test(`${row[0]} at ${row[1]}`, LIMIT, (t) => passes(t, client, row))));
});

test('the table is the suite, whole', () => {
  const ours = Object.entries(SCENARIOS).map(([name, row]) => [name, revisionsOf(row)]);
  const extensions = EXTENSIONS.map((name) => [name, ['extension']]);
  const suites = Object.entries(listed()).filter(([name]) => !(name in notYet));
  assert.deepEqual(Object.fromEntries([...ours, ...extensions]), Object.fromEntries(suites));
});

test('both wires, all extensions, both back-compat: 53 sign-ins by the library', () => {
  const wires = (name) => revisionsOf(SCENARIOS[name]).filter((revision) => BOTH.includes(revision) || MARCH.includes(revision));
  const signIns = Object.keys(SCENARIOS).filter((name) => name.startsWith('auth/')).flatMap(wires);
  assert.equal(signIns.length + EXTENSIONS.length * BOTH.length, 53);
});

test('each scenario that a revision requires is run at that revision', () => {
  for (const [revision, number] of [[SESSION, 18], [STATELESS, 32]]) {
    const required = [...listOf('--requirements', revision).matchAll(/- (\S+)/g)].map(([, name]) => name);
    assert.equal(required.length, number);
    const ran = (name) => [SCENARIOS[name], BRIDGED[name]].some((row) => row && revisionsOf(row).includes(revision));
    assert.deepEqual(required.filter((name) => !ran(name)), [], revision);
  }
});

/** What the suite lists of clients, a line for each scenario. */
function listOf(...words) {
  const text = execFileSync(process.execPath, [SUITE, 'list', ...words], { encoding: 'utf8' });
  return text.match(/Client scenarios[^\n]*\n([\s\S]*?)\n\s*\n/)[1];
}

/** The suite's client scenarios with the revisions that it knows them for. */
function listed() {
  const lines = [...listOf().matchAll(/- (\S+) \[([^\]]*)\]/g)];
  return Object.fromEntries(lines.map(([, name, revisions]) => [name, revisions.split(',')]));
}

async function passes(t, client, [scenario, revision], words) {
  const results = folder(t);
  // Without --force the suite skips an extension, and that is green.
  const settings = ['--command', client, '--scenario', scenario, '--spec-version', revision, '--force', '-o', results];
  const suite = start(t, process.execPath, [SUITE, 'client', ...settings], { env: { HALLPASS_BIN: binary(), XDG_DATA_HOME: folder(t) } });
  assert.equal(await suite.ends(150), 0, suite.output);

  const read = (end) => readFileSync(join(results, readdirSync(results, { recursive: true }).find((name) => name.endsWith(end))), 'utf8');
  const checks = JSON.parse(read('checks.json'));
  assert.deepEqual(checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING'), []);
  assert.ok(checks.some(({ status }) => status === 'SUCCESS'), suite.output);
  if (words) assert.match(read('stderr.txt'), words);
  else assert.equal(read('stderr.txt'), '');
}

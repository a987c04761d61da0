// Spans of calls: what a collector gets, what the server behind gets, and that neither ever sees a token or an argument.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { everything, serve } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { initialize } from './lib/mcp.mjs';
import { atEnd, folder } from './lib/programs.mjs';
import { Provider, SDKS } from './lib/sdk.mjs';

const LIMIT = { timeout: 180_000 };
const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const PYTHON = path('.venv/bin/python');
const [TRACE, SPAN] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];

/** Listens on a free port of this machine. */
async function listening(t, answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }));
  return `http://127.0.0.1:${server.address().port}`;
}

/** A collector that keeps what it is sent, and refuses the first message. */
async function collector(t) {
  const bodies = [];
  const keys = new Set();
  let refused = 0;
  const url = await listening(t, (incoming, answer) => {
    let body = '';
    incoming.setEncoding('utf8').on('data', (text) => { body += text; }).on('end', () => {
      keys.add(incoming.headers['x-key']);
      if (refused++ === 0) return answer.writeHead(503).end();
      bodies.push(body);
      answer.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  const spans = () => bodies.flatMap((body) => JSON.parse(body).resourceSpans[0].scopeSpans[0].spans);
  const until = async (found) => {
    for (let tries = 0; tries < 900; tries++) {
      if (found(spans())) return spans();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`spans: ${JSON.stringify(spans())}`);
  };
  return { url: `${url}/v1/traces`, bodies, keys, until };
}

/** In front of a server, and remembers the traces that it is told of. */
async function recording(t, behind) {
  const seen = [];
  const url = await listening(t, (incoming, answer) => {
    seen.push(incoming.headers.traceparent);
    const sent = request(behind, { method: incoming.method, headers: incoming.headers }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    sent.on('error', () => answer.destroy());
    incoming.pipe(sent);
  });
  return { url: `${url}/mcp`, seen };
}

const attributes = (span) => Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));

for (const join_ of [false, true]) {
  test(`spans of calls reach a collector, and a client's trace is ${join_ ? 'joined' : 'linked'}`, LIMIT, async (t) => {
    const [collected, behind] = [await collector(t), await recording(t, await everything(t))];
    const key = join(folder(t), 'key');
    writeFileSync(key, 'a-secret-of-the-collector\n', { mode: 0o600 });
    const more = `[traces]\nendpoint = "${collected.url}"\njoin = ${join_}\nservice = "e2e"\nheader = { name = "x-key", secret_file = "${key}" }\n`;
    const hallpass = await serve(t, { upstream: behind.url, more });
    const [sdk] = SDKS;
    const provider = new Provider();
    const transport = new sdk.Transport(new URL(hallpass.url), { authProvider: provider });
    await assert.rejects(new sdk.Client({ name: 'hallpass-e2e', version: '1' }).connect(transport), sdk.UnauthorizedError);
    await sdk.finish(transport, await hallpass.person.authorize(provider.kept.authorizationUrl.href));
    const client = new sdk.Client({ name: 'hallpass-e2e', version: '1' });
    await client.connect(new sdk.Transport(new URL(hallpass.url), {
      authProvider: provider, requestInit: { headers: { traceparent: `00-${TRACE}-${SPAN}-01` } },
    }));
    await sdk.callTool(client, { name: 'echo', arguments: { message: 'canary-of-arguments' } });
    await client.close();
    assert.equal((await initialize(hallpass.url, 'canary-of-a-token')).status, 401);

    const spans = await collected.until((all) => all.some(({ name }) => name === 'tools/call echo') && all.some((span) => attributes(span)['error.type'] === 'token_invalid'));
    const call = spans.find(({ name }) => name === 'tools/call echo');
    const said = attributes(call);
    assert.equal(said['mcp.method.name'], 'tools/call');
    assert.equal(said['gen_ai.tool.name'], 'echo');
    assert.equal(said['hallpass.server'], 'everything');
    assert.equal(said['http.response.status_code'], '200');
    assert.ok(said['user.id'] && said['hallpass.client'] && said['hallpass.grant']);
    if (join_) {
      assert.deepEqual([call.traceId, call.parentSpanId, call.links], [TRACE, SPAN, undefined]);
    } else {
      assert.notEqual(call.traceId, TRACE);
      assert.deepEqual([call.parentSpanId, call.links], [undefined, [{ traceId: TRACE, spanId: SPAN }]]);
    }
    assert.ok(behind.seen.includes(`00-${call.traceId}-${call.spanId}-01`), 'the server behind goes on with this span');
    assert.ok(!behind.seen.includes(`00-${TRACE}-${SPAN}-01`), 'and not with the client\'s');
    const refusedSpan = spans.find((span) => attributes(span)['error.type'] === 'token_invalid');
    assert.equal(attributes(refusedSpan)['user.id'], undefined);

    const all = collected.bodies.join('\n');
    for (const secret of ['canary', provider.kept.tokens.access_token, provider.kept.tokens.refresh_token, 'a-secret-of']) {
      assert.ok(!all.includes(secret), 'rs-067: a secret in a span');
    }
    assert.deepEqual([...collected.keys], ['a-secret-of-the-collector']);
    assert.ok(!hallpass.program.output.includes('a-secret-of'), 'nor in the log');

    assert.ok(existsSync(PYTHON), 'no .venv: run these tests by `cargo xtask test`');
    const names = execFileSync(PYTHON, [path('python/otlp.py')], { input: `${collected.bodies.join('\n')}\n` }).toString();
    assert.ok(names.split('\n').includes('tools/call echo'));
  });
}

test('without a collector every call is answered, and the log says once that spans are lost', LIMIT, async (t) => {
  const nobody = `http://127.0.0.1:9/v1/traces`;
  const hallpass = await serve(t, { upstream: await everything(t), more: `[traces]\nendpoint = "${nobody}"\n` });
  for (let calls = 0; calls < 30; calls++) assert.equal((await initialize(hallpass.url)).status, 401);
  await hallpass.program.says(/collector of traces takes no spans/);
  for (let calls = 0; calls < 30; calls++) assert.equal((await initialize(hallpass.url)).status, 401);
  assert.equal((await exchange(`${hallpass.issuer}/jwks`)).status, 200);
  assert.equal(hallpass.program.output.match(/takes no spans/g).length, 1);
});

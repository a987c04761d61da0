// The description of the whole surface: a valid document, and what the server really answers is what it says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import Ajv from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { byHand } from './lib/client.mjs';
import { everything, serve } from './lib/hallpass.mjs';
import { exchange } from './lib/http.mjs';
import { freePort } from './lib/programs.mjs';

const FORM = 'application/x-www-form-urlencoded';

test('/openapi.json is valid OpenAPI 3.1 and the server answers as it says', { timeout: 240_000 }, async (t) => {
  const admin = `127.0.0.1:${await freePort()}`;
  const hallpass = await serve(t, { upstream: await everything(t), more: `[admin]\nlisten = "${admin}"` });
  const { issuer, url, person } = hallpass;
  const served = await exchange(`${issuer}/openapi.json`);
  assert.equal(served.headers['access-control-allow-origin'], '*');
  const again = await exchange(`${issuer}/openapi.json`, { headers: { 'if-none-match': served.headers.etag } });
  assert.equal(again.status, 304);
  const api = JSON.parse(served.text);
  const validity = await new Validator().validate(structuredClone(api));
  assert.ok(validity.valid, JSON.stringify(validity.errors));

  const says = checker(api);
  const ask = async (method, path, status, { base = issuer, headers = {}, form, json } = {}) => {
    const body = form ? new URLSearchParams(form).toString() : json && JSON.stringify(json);
    const type = form ? { 'content-type': FORM } : json ? { 'content-type': 'application/json' } : {};
    const answer = await exchange(base + path, { method, headers: { ...type, ...headers }, body });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    return says(method, path, answer);
  };

  for (const path of Object.keys(api.paths).filter((path) => path.startsWith('/.well-known/'))) await ask('GET', path, 200);
  await ask('GET', '/jwks', 200);
  await ask('GET', '/openapi.json', 200);
  for (const path of ['/metrics', '/health/live', '/health/ready']) await ask('GET', path, 200, { base: `http://${admin}` });

  const metadata = { redirect_uris: ['http://127.0.0.1/callback'], client_name: 'A client' };
  const confidential = await ask('POST', '/register', 201, { json: metadata });
  assert.ok(confidential.client_secret);
  await ask('POST', '/register', 400, { json: { redirect_uris: [] } });

  const client = await byHand(t);
  const answered = await person.authorize(await client.authorizationUrl(hallpass));
  const { client_id } = client.request;
  const form = { grant_type: 'authorization_code', code: answered.searchParams.get('code'), redirect_uri: client.redirectUri, client_id, code_verifier: client.request.verifier, resource: url };
  const tokens = await ask('POST', '/token', 200, { form });
  const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token, client_id };
  const next = await ask('POST', '/token', 200, { form: refresh });
  for (const [status, error, wrong] of [
    [400, 'invalid_scope', { ...refresh, refresh_token: next.refresh_token, scope: 'mcp more' }],
    [400, 'unsupported_grant_type', { ...refresh, grant_type: 'password' }],
    [400, 'invalid_grant', { ...refresh, refresh_token: 'none' }],
    [401, 'invalid_client', { ...refresh, client_id: 'nobody' }],
    [413, 'invalid_request', { ...refresh, scope: 'x'.repeat(20_000) }],
  ]) {
    const refused = await ask('POST', '/token', status, { form: wrong });
    assert.equal(refused.error, error);
  }
  const push = { client_id, response_type: 'code', redirect_uri: client.redirectUri, code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256', resource: url };
  await ask('POST', '/par', 201, { form: push });
  await ask('POST', '/par', 400, { form: { ...push, request_uri: 'x' } });
  await ask('POST', '/par', 401, { form: { ...push, client_id: 'nobody' } });
  await ask('POST', '/par', 413, { form: { ...push, state: 'x'.repeat(2_000) } });
  const device = ['urn:ietf:params:oauth:grant-type:device_code'];
  const television = await ask('POST', '/register', 201, { json: { grant_types: device, token_endpoint_auth_method: 'none' } });
  const asked = await ask('POST', '/device_authorization', 200, { form: { client_id: television.client_id, resource: url } });
  await ask('POST', '/device_authorization', 400, { form: { client_id } });
  const poll = { grant_type: device[0], client_id: television.client_id, device_code: asked.device_code };
  for (const error of ['authorization_pending', 'slow_down']) {
    assert.equal((await ask('POST', '/token', 400, { form: poll })).error, error);
  }
  await ask('GET', '/device', 200);
  await ask('POST', '/introspect', 401, { form: { token: next.access_token, client_id } });

  const call = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
  await ask('POST', '/mcp', 401, { json: call });
  const initialize = { ...call, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x', version: '1' } } };
  const headers = { authorization: `Bearer ${next.access_token}`, accept: 'application/json, text/event-stream' };
  await ask('POST', '/mcp', 200, { json: initialize, headers });
  await ask('POST', '/mcp', 400, { json: { jsonrpc: '1.0' }, headers });

  await ask('POST', '/revoke', 200, { form: { token: next.refresh_token, client_id } });
  await ask('GET', '/sign-in', 200);
  await ask('GET', '/', 303);
  await ask('GET', '/authorize', 400);
});

/** Holds an answer against the document: status, media type, and no member that the document does not know. */
function checker(api) {
  const ajv = new Ajv({ strict: false, allErrors: true });
  formats(ajv);
  ajv.addSchema({ $id: 'api', components: { schemas: closed(api.components.schemas) } });
  return (method, path, answer) => {
    const where = `${method} ${path} ${answer.status}`;
    const said = api.paths[path]?.[method.toLowerCase()]?.responses[answer.status];
    assert.ok(said, `${where} is not described`);
    if (!said.content) {
      assert.equal(answer.text, '', `${where}: a body that is not described`);
      return undefined;
    }
    const media = (answer.headers['content-type'] ?? '').split(';')[0];
    assert.ok(said.content[media], `${where}: ${media} is not described`);
    if (!media.endsWith('json')) return answer.text;
    const body = JSON.parse(answer.text);
    const schema = JSON.parse(JSON.stringify(said.content[media].schema).replaceAll('"#/', '"api#/'));
    assert.ok(ajv.validate(schema, body), `${where}: ${ajv.errorsText()}\n${answer.text}`);
    return body;
  };
}

/** The same schemas, open to nothing that they do not name. */
function closed(schemas) {
  const open = new Set(['JsonRpcMessage', 'OpenApi']);
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, open.has(name) ? schema : { ...schema, additionalProperties: false }]));
}

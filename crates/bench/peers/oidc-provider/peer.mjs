// oidc-provider as a peer of the benchmark: node peer.mjs sqlite|shared|memory FOLDER COUNT
//
// Makes COUNT codes, refresh tokens or opaque access tokens through the library's own models, each of a grant of its own,
// writes them into FOLDER (a line each), prints its address and serves. Clients, accounts and receivers are constants: no
// request looks for them.

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';
import { memory, sqlite } from './adapter.mjs';

const [kind, folder, count] = process.argv.slice(2);
const RESOURCE = 'http://localhost:8080/mcp';
const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM';
const REDIRECT = 'http://127.0.0.1:5000/callback';
const HOUR = 3600;

const { Adapter, inOne } = kind === 'memory' ? memory() : sqlite(`${folder}/peer.sqlite`, kind === 'shared');
const server = createServer();
await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
const issuer = `http://127.0.0.1:${server.address().port}`;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const provider = new Provider(issuer, {
  adapter: Adapter,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'one' }] },
  clients: [
    {
      client_id: 'benchmark', token_endpoint_auth_method: 'none', redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'], id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'asks', client_secret: 'a-secret-that-is-long-enough', redirect_uris: [], response_types: [],
      grant_types: [], id_token_signed_response_alg: 'ES256',
    },
  ],
  cookies: { keys: ['a key that no request of the benchmark needs'] },
  scopes: ['mcp'],
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  expiresWithSession: () => false,
  ttl: { AccessToken: 600, AuthorizationCode: HOUR, RefreshToken: 30 * 24 * HOUR, Grant: 90 * 24 * HOUR },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === 'asks' },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'mcp', audience: RESOURCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
      }),
      useGrantedResource: () => true,
    },
  },
});
provider.on('server_error', (_, error) => console.error(error));

const client = await provider.Client.find('benchmark');
const accountId = 'ada';

const grant = () => {
  const made = new provider.Grant({ accountId, clientId: client.clientId });
  made.addResourceScope(RESOURCE, 'mcp');
  return made.save();
};
const common = async () => ({
  accountId, client, grantId: await grant(), scope: 'mcp', gty: 'authorization_code', expiresWithSession: false,
});
const make = {
  code: async () => new provider.AuthorizationCode({
    ...await common(), resource: RESOURCE, redirectUri: REDIRECT, codeChallenge: CHALLENGE, codeChallengeMethod: 'S256',
  }).save(),
  refresh: async () => new provider.RefreshToken({ ...await common(), resource: RESOURCE, rotations: 0 }).save(),
  // Opaque: the library does not introspect its signed ones.
  access: async () => new provider.AccessToken({ ...await common(), aud: RESOURCE }).save(),
};

await inOne(async () => {
  for (const part of count.split(',')) {
    const [what, many] = part.split(':');
    const made = [];
    for (let at = 0; at < Number(many); at += 1) made.push(await make[what]());
    writeFileSync(`${folder}/${what}`, made.join('\n'), { mode: 0o600 });
  }
});

server.on('request', provider.callback());
console.log(issuer.slice('http://'.length));

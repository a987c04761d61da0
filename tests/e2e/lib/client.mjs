// A client by hand, with a redirect URI that listens.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { exchange } from './http.mjs';
import { atEnd } from './programs.mjs';

const PAGE = '<!doctype html><html lang="en"><title>Client</title><main><h1>The client</h1></main></html>';

export async function byHand(t) {
  const client = new ByHand();
  await client.listen(t);
  return client;
}

class ByHand {
  #asked = [];

  /** Headers of the browser that came to the redirect URI last. */
  headers = {};

  /** With 204 a browser that comes to the redirect URI stays on the page it comes from. */
  answers = 200;

  async listen(t) {
    const server = http.createServer((request, answer) => {
      if (!request.url.startsWith('/callback')) return answer.writeHead(404).end();
      this.headers = request.headers;
      for (const tell of this.#asked.splice(0)) tell();
      answer.writeHead(this.answers, { 'content-type': 'text/html' }).end(this.answers === 200 ? PAGE : undefined);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    atEnd(t, () => {
      server.close();
      server.closeAllConnections();
    });
    this.redirectUri = `http://127.0.0.1:${server.address().port}/callback`;
  }

  /** Resolves when a browser asks for the redirect URI. */
  asked() {
    return new Promise((resolve) => this.#asked.push(resolve));
  }

  /** Registers anew and gives the URL for the person to open. */
  async authorizationUrl({ issuer, url }) {
    const metadata = JSON.parse((await exchange(`${issuer}/.well-known/oauth-authorization-server`)).text);
    const body = JSON.stringify({
      client_name: 'Client by hand',
      redirect_uris: [this.redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    });
    const headers = { 'content-type': 'application/json' };
    const registered = await exchange(metadata.registration_endpoint, { method: 'POST', headers, body });
    assert.equal(registered.status, 201, registered.text);
    const verifier = randomBytes(32).toString('base64url');
    const { client_id } = JSON.parse(registered.text);
    this.request = { issuer, client_id, verifier, resource: url, token_endpoint: metadata.token_endpoint };
    const parameters = {
      response_type: 'code',
      client_id,
      redirect_uri: this.redirectUri,
      state: 'a state',
      resource: url,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    };
    return `${metadata.authorization_endpoint}?${new URLSearchParams(parameters)}`;
  }

  /** Redeems a code for the request made last. */
  async redeem(code) {
    const { client_id, verifier, resource, token_endpoint } = this.request;
    const parameters = { grant_type: 'authorization_code', code, redirect_uri: this.redirectUri, client_id, code_verifier: verifier, resource };
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await exchange(token_endpoint, { method: 'POST', headers, body: new URLSearchParams(parameters).toString() });
    assert.equal(answer.status, 200, answer.text);
    return JSON.parse(answer.text);
  }
}

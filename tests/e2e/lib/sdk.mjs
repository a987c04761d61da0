// Both generations of the official TypeScript client behind one face.
import * as v1Auth from '@modelcontextprotocol/sdk/client/auth.js';
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as V1Transport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as v2 from '@modelcontextprotocol/client';

/** What differs between them, for a story. */
export const SDKS = [
  {
    name: '@modelcontextprotocol/sdk 1.32.2',
    Client: V1Client,
    Transport: V1Transport,
    UnauthorizedError: v1Auth.UnauthorizedError,
    finish: (transport, redirect) => transport.finishAuth(redirect.searchParams.get('code')),
    callTool: (client, call, options) => client.callTool(call, undefined, options),
  },
  {
    name: '@modelcontextprotocol/client 2.4.0',
    Client: v2.Client,
    Transport: v2.StreamableHTTPClientTransport,
    UnauthorizedError: v2.UnauthorizedError,
    // It checks `iss` itself (RFC 9207).
    finish: (transport, redirect) => transport.finishAuth(redirect.searchParams),
    callTool: (client, call, options) => client.callTool(call, options),
  },
];

/** Keeps everything in memory, and the authorization URL for the person to open. */
export class Provider {
  redirectUrl = 'http://127.0.0.1:33987/callback';
  kept = {};

  constructor(clientMetadataUrl) {
    this.clientMetadataUrl = clientMetadataUrl;
  }

  static metadata(redirectUrl = 'http://127.0.0.1:33987/callback') {
    return {
      client_name: 'Official client',
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  get clientMetadata() {
    return Provider.metadata(this.redirectUrl);
  }

  state() {
    this.kept.state = crypto.randomUUID();
    return this.kept.state;
  }

  clientInformation() {
    return this.kept.client;
  }

  saveClientInformation(client) {
    this.kept.client = client;
  }

  tokens() {
    return this.kept.tokens;
  }

  saveTokens(tokens) {
    this.kept.tokens = tokens;
  }

  redirectToAuthorization(url) {
    this.kept.authorizationUrl = url;
  }

  saveCodeVerifier(verifier) {
    this.kept.verifier = verifier;
  }

  codeVerifier() {
    return this.kept.verifier;
  }

  invalidateCredentials(scope) {
    if (scope === 'all' || scope === 'tokens') delete this.kept.tokens;
    if (scope === 'all' || scope === 'client') delete this.kept.client;
  }

  saveDiscoveryState(state) {
    this.kept.discovery = state;
  }

  discoveryState() {
    return this.kept.discovery;
  }
}

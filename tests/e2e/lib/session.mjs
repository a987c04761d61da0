// An official TypeScript client with its person, who allows whatever the client asks for.
import assert from 'node:assert/strict';
import { Provider } from './sdk.mjs';

/** What goes into the configuration for each of SDKS: the first generation answers a challenge with its refresh token where it has one, and gives up. */
export const SETTINGS = ['[tokens]\nrefresh_tokens = "offline_access"\n', ''];

/** In order, without the one that only asks for a refresh token. */
export const scopesOf = (text) => text.split(' ').filter((scope) => scope !== 'offline_access').sort().join(' ');

/** A client that is sent to its person whenever it says so. */
export class Session {
  #provider = new Provider();
  signIns = 0;

  constructor(sdk, hallpass) {
    Object.assign(this, { sdk, hallpass, client: new sdk.Client({ name: 'hallpass-e2e', version: '1' }) });
  }

  async connect() {
    const first = this.#transport();
    await assert.rejects(new this.sdk.Client({ name: 'hallpass-e2e', version: '1' }).connect(first), this.sdk.UnauthorizedError);
    await this.#signIn(first);
    this.transport = this.#transport();
    await this.client.connect(this.transport);
  }

  /** The text that a tool answers; sent away once, the person signs in and it is called again. A second time is a failure. */
  async call([name, given, scopes]) {
    const attempt = () => this.sdk.callTool(this.client, { name, arguments: given });
    let result;
    try {
      result = await attempt();
    } catch (error) {
      assert.ok(error instanceof this.sdk.UnauthorizedError, String(error));
      await this.#signIn(this.transport);
      result = await attempt();
    }
    assert.ok(!result.isError && result.content.length > 0, JSON.stringify(result));
    assert.equal(scopesOf(this.kept.tokens.scope), scopes, name);
    return result.content[0].text;
  }

  /** Its tokens, its registration. */
  get kept() {
    return this.#provider.kept;
  }

  async #signIn(transport) {
    this.signIns += 1;
    await this.sdk.finish(transport, await this.hallpass.person.authorize(this.#provider.kept.authorizationUrl.href));
  }

  #transport() {
    return new this.sdk.Transport(new URL(this.hallpass.url), { authProvider: this.#provider });
  }
}

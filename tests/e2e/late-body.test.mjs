// Clients that send head and body apart, as those on httpx do: an answer may come before the body, and the connection is
// used again.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { run } from './lib/hallpass.mjs';
import { atEnd } from './lib/programs.mjs';

const LIMIT = { timeout: 180_000 };

test('a refusal that is there before the body leaves a connection that can be used, or says that it ends', LIMIT, async (t) => {
  const { url } = await run(t);
  const { port } = new URL(url);
  for (const [length, goesOn] of [[60, true], [200_000, false]]) {
    const connection = new Connection(t, port);
    connection.says(`POST /mcp HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 500));
    connection.says(' '.repeat(length));
    const refused = await connection.hears(/\r\n\r\n\{.*\}/);
    assert.match(refused, /^HTTP\/1\.1 401 /);
    assert.equal(/^connection: close\r$/im.test(refused), !goesOn, refused);
    if (!goesOn) continue;
    connection.says(`GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`);
    await connection.hears(/HTTP\/1\.1 200 /);
  }
});

class Connection {
  #socket;
  #heard = '';
  #look = () => {};

  constructor(t, port) {
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (text) => {
      this.#heard += text;
      this.#look();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#look());
    atEnd(t, () => this.#socket.destroy());
  }

  says(text) {
    this.#socket.write(text);
  }

  /** All that has come, once it is like `pattern`. Fails when the connection ends before. */
  hears(pattern) {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        if (pattern.test(this.#heard)) resolve(this.#heard);
        else if (this.#socket.closed) reject(new Error(`the connection ended before ${pattern}:\n${this.#heard}`));
      };
      this.#look();
    });
  }
}

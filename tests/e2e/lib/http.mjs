// One HTTP exchange with every header under the test's control: fetch would add its own and follow redirects.
import http from 'node:http';
import https from 'node:https';

/** Sends one request. Header names in the answer are lower case; `set-cookie` is an array. */
export function exchange(url, { method = 'GET', headers = {}, body, ca } = {}) {
  const { request } = new URL(url).protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const sent = request(url, { method, headers: { ...length, ...headers }, ca, timeout: 60_000, agent: false }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(parts).toString('utf8') }));
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${url}: no answer in 60 s`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Cookies of one browser, kept for each host as a browser does. */
export class CookieJar {
  #hosts = new Map();

  /** The `Cookie` header for a URL, if there is anything to send. */
  header(url) {
    const { hostname, pathname } = new URL(url);
    const own = [...(this.#hosts.get(hostname)?.values() ?? [])].filter(
      ({ path }) => pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`),
    );
    return own.length ? { cookie: own.map(({ name, value }) => `${name}=${value}`).join('; ') } : {};
  }

  /** Keeps what an answer sets. */
  keep(url, lines = []) {
    const { hostname } = new URL(url);
    if (!this.#hosts.has(hostname)) this.#hosts.set(hostname, new Map());
    const own = this.#hosts.get(hostname);
    for (const line of lines) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
      const given = Object.fromEntries(attributes.map((one) => [one.split('=')[0].toLowerCase(), one.split('=')[1] ?? '']));
      const gone = given['max-age'] === '0' || (given.expires && Date.parse(given.expires) < Date.now());
      if (gone) own.delete(name);
      else own.set(name, { name, value, path: given.path || '/' });
    }
  }
}

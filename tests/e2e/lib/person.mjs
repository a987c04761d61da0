// A person with a browser that has no JavaScript: opens pages, fills in forms, presses buttons, follows redirects.
import { CookieJar, exchange } from './http.mjs';
import { forms, movesTo, words } from './html.mjs';

const STEPS = 12;

export class Person {
  #jar = new CookieJar();
  page;

  constructor({ name = 'ada', password = 'correct horse battery staple', ca } = {}) {
    Object.assign(this, { name, password, ca });
  }

  /** Opens a URL, following redirects as long as they stay on its origin. */
  async open(url) {
    return this.#go(url, {}, 'none');
  }

  /** Sends the form that `has` picks, with the values a person would type and the button that was pressed. */
  async submit(has, button, typed = {}) {
    const form = this.page.forms.find(has);
    if (!form) throw new Error(`no such form at ${this.page.url}: ${this.page.words}`);
    const fields = form.fields.map(({ name, value, type }) => [name, typed[name] ?? (type === 'password' ? this.password : value)]);
    if (button?.name) fields.push([button.name, button.value ?? '']);
    const target = new URL(form.action, this.page.url).href;
    const body = new URLSearchParams(fields).toString();
    if (form.method === 'GET') return this.#go(`${target.split('?')[0]}?${body}`, {}, 'same-origin');
    const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: new URL(this.page.url).origin };
    return this.#go(target, { method: 'POST', headers, body }, 'same-origin');
  }

  /** Presses the first button with this name and value, in whatever form it is. */
  async press(name, value) {
    const matches = (button) => button.name === name && button.value === value;
    return this.submit((form) => form.buttons.some(matches), { name, value });
  }

  /** Creates the first account from the one-time link. */
  async setUp(link) {
    await this.open(link);
    await this.#signInForm();
    if (this.page.status !== 200) throw new Error(`set-up: ${this.page.status} ${this.page.words}`);
  }

  /** Goes from an authorization URL to the client's redirect URI, which is returned and not opened. */
  async authorize(url, decision = 'allow') {
    const own = new URL(url).origin;
    this.seen = [];
    await this.open(url);
    for (let step = 0; step < STEPS; step += 1) {
      this.seen.push(this.page);
      const { away, forms: found } = this.page;
      if (away) return away;
      if (found.some(asksPassword)) await this.#signInForm();
      else if (found.some((form) => form.buttons.some(({ name }) => name === 'decision'))) await this.press('decision', decision);
      else throw new Error(`nothing to do at ${this.page.url} (${this.page.status}): ${this.page.words}`);
      if (new URL(this.page.url).origin !== own) throw new Error(`left ${own} for ${this.page.url}`);
    }
    throw new Error(`no end after ${STEPS} pages; the last is ${this.page.url}: ${this.page.words}`);
  }

  /** Enters the code of a device, waits until it has polled, looks, and decides. The page that asked. */
  async letIn(issuer, code, decision = 'allow') {
    await this.open(`${issuer}/device`);
    if (this.page.forms.some(asksPassword)) await this.#signInForm();
    await this.submit((form) => form.fields.some(({ name, type }) => name === 'user_code' && type === 'text'), undefined, { user_code: code });
    const asks = (form) => form.buttons.some(({ name }) => name === 'decision');
    for (let look = 0; look < 90 && !this.page.forms.some(asks); look += 1) {
      if (!this.page.headers.refresh) throw new Error(`nothing to wait for at ${this.page.url}: ${this.page.words}`);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await this.open(this.page.url);
    }
    const asked = this.page;
    await this.press('decision', decision);
    return asked;
  }

  async #signInForm() {
    return this.submit(asksPassword, undefined, { name: this.name });
  }

  async #go(url, request, site) {
    let next = { url, ...request };
    for (let hop = 0; hop < STEPS; hop += 1) {
      const headers = {
        accept: 'text/html',
        'sec-fetch-site': site,
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
        ...next.headers,
        ...this.#jar.header(next.url),
      };
      const answer = await exchange(next.url, { ...next, headers, ca: this.ca });
      this.#jar.keep(next.url, answer.headers['set-cookie']);
      const redirect = answer.status >= 300 && answer.status < 400 && answer.headers.location;
      const target = redirect || movesTo(answer.text) || answer.headers.refresh?.match(/url=(.*)$/i)?.[1];
      const to = target && new URL(target, next.url);
      if (!to || to.origin !== new URL(next.url).origin) {
        this.page = { url: next.url, status: answer.status, headers: answer.headers, html: answer.text, words: words(answer.text), forms: forms(answer.text), away: to };
        return this.page;
      }
      next = { url: to.href };
    }
    throw new Error(`too many redirects from ${url}`);
  }
}

const asksPassword = (form) => form.fields.some(({ type }) => type === 'password');

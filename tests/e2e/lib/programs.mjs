// Starts programs, waits for the line that says they are ready, and never leaves one behind.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

// A test that means the keyring of a desktop brings a desktop of its own.
const APART = { HALLPASS_CLIENT_KEYRING: 'off' };

const undone = new WeakMap();

/** Runs `undo` at the end of the test, the last first: a program stops before its folder goes away. */
export function atEnd(t, undo) {
  if (!undone.has(t)) {
    const all = [];
    undone.set(t, all);
    t.after(async () => {
      for (const one of all.reverse()) await one();
    });
  }
  undone.get(t).push(undo);
}

let ports = process.pid * 64;

/**
 * A port that nobody has. Until it is used, no connection of another program gets it either: the system gives those ports
 * above 32,768, and each test file begins elsewhere below.
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + (ports++ % 20_000);
    const server = createServer();
    const taken = await new Promise((resolve) => server.once('error', resolve).listen(port, '127.0.0.1', () => resolve(null)));
    if (taken) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** A folder that goes away with the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'hallpass-e2e-'));
  atEnd(t, () => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A started program with everything it has printed so far. */
export class Program {
  #child;
  #exited;
  #waiting = new Set();
  output = '';
  stdout = '';

  constructor(command, args, { env = {}, cwd, input = false } = {}) {
    this.name = [command, ...args].join(' ');
    this.#child = spawn(command, args, { cwd, env: { ...process.env, ...APART, ...env }, stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    running.add(this.#child);
    const take = (text, isResult) => {
      this.output += text;
      if (isResult) this.stdout += text;
      for (const look of this.#waiting) look();
    };
    this.#child.stdout.setEncoding('utf8').on('data', (text) => take(text, true));
    this.#child.stderr.setEncoding('utf8').on('data', (text) => take(text, false));
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        take(String(error), false);
        resolve(-1);
      });
      this.#child.once('close', (code, signal) => {
        running.delete(this.#child);
        resolve(code ?? signal);
        take('', false);
      });
    });
    this.#exited.then((code) => (this.code = code));
  }

  /** Types it, for a program that was started with `input`; nothing closes its standard input. */
  types(text) {
    if (text) this.#child.stdin.write(text);
    else this.#child.stdin.end();
  }

  /** The first match in what it prints. Fails when it ends or the time is over before. */
  async says(pattern, seconds = 60) {
    let look;
    let timer;
    try {
      return await new Promise((resolve, reject) => {
        const failed = (why) => reject(new Error(`${this.name}: ${why} before it said ${pattern}\n${this.output}`));
        look = () => {
          const match = this.output.match(pattern);
          if (match) resolve(match);
          else if (this.code !== undefined) failed(`ended with ${this.code}`);
        };
        timer = setTimeout(() => failed(`${seconds} s were over`), seconds * 1000);
        this.#waiting.add(look);
        this.#exited.then(() => setImmediate(look));
        look();
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }

  /** Waits for its end and gives the exit code. */
  async ends(seconds = 90) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${this.name}: still runs after ${seconds} s\n${this.output}`)), seconds * 1000);
    });
    return Promise.race([this.#exited, late]).finally(() => clearTimeout(timer));
  }

  async stop() {
    if (this.code !== undefined) return;
    this.#child.kill('SIGTERM');
    const hard = setTimeout(() => this.#child.kill('SIGKILL'), 30_000);
    await this.#exited;
    clearTimeout(hard);
  }
}

/** Starts a program that is stopped at the end of the test. */
export function start(t, command, args, options) {
  const program = new Program(command, args, options);
  atEnd(t, () => program.stop());
  return program;
}

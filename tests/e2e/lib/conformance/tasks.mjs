// Tasks (SEP-2663) for the suite's server of revision 2026-07-28, whose SDK has none: what is about tasks is answered here,
// everything else goes to the SDK.
import { randomUUID } from 'node:crypto';
import { needs, text, tool } from './things.mjs';

export const EXTENSION = 'io.modelcontextprotocol/tasks';
const [INVALID, NO_METHOD, MISMATCH, NO_CAPABILITY] = [-32602, -32601, -32020, -32021];
const META = 'io.modelcontextprotocol/clientCapabilities';

const done = (words) => ({ content: [text(words)] });
const form = (message) => ({
  method: 'elicitation/create',
  params: { mode: 'form', message, requestedSchema: needs({ confirm: { type: 'boolean' } }) },
});

/** A cancelled task keeps no program from ending. */
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds).unref());

/** What a task does, with the way to ask for input. */
const JOBS = {
  slow_compute: async ({ seconds = 0 }) => {
    await pause(seconds * 1000);
    return done('Computed');
  },
  failing_job: async () => {
    await pause(300);
    return { ...done('It failed'), isError: true };
  },
  protocol_error_job: async () => {
    await pause(100);
    throw Object.assign(new Error('It broke'), { code: -32603 });
  },
  confirm_delete: async ({ filename }, ask) => {
    await ask({ confirm: form(`Delete ${filename}?`) });
    return done(`Deleted ${filename}`);
  },
  multi_input: async (_, ask) => done(`Got ${Object.keys(await ask({ first: form('One'), second: form('Two') })).join(' and ')}`),
  test_tool_with_task: async ({ name }) => {
    await pause(50);
    return done(`For ${name}`);
  },
};
/** These cannot be done without a task. */
const NEEDS_TASK = ['failing_job', 'test_tool_with_task'];

export const TASK_TOOLS = Object.keys(JOBS).map((name) => tool(name, () => done('Answered elsewhere')));

class Task {
  id = randomUUID();
  status = 'working';
  #createdAt = new Date().toISOString();
  #pending = {};
  #given = {};
  #go = () => {};

  constructor(job, given) {
    const ended = (status, how) => {
      if (this.status !== 'cancelled') Object.assign(this, { status, how });
    };
    job(given, (requests) => this.#ask(requests)).then(
      (result) => ended('completed', { result: { ...result, resultType: 'complete' } }),
      ({ code, message }) => ended('failed', { error: { code, message } }),
    );
  }

  #ask(requests) {
    Object.assign(this, { status: 'input_required' });
    this.#pending = { ...requests };
    return new Promise((resolve) => (this.#go = resolve));
  }

  update(responses) {
    for (const [key, value] of Object.entries(responses)) {
      if (!(key in this.#pending)) continue;
      delete this.#pending[key];
      this.#given[key] = value;
    }
    if (this.status !== 'input_required' || Object.keys(this.#pending).length) return;
    this.status = 'working';
    this.#go(this.#given);
  }

  cancel() {
    if (!this.how) this.status = 'cancelled';
  }

  get shown() {
    const at = { createdAt: this.#createdAt, lastUpdatedAt: new Date().toISOString(), ttlMs: 600_000, pollIntervalMs: 100 };
    const asks = this.status === 'input_required' ? { inputRequests: this.#pending } : {};
    return { taskId: this.id, status: this.status, ...at, ...asks, ...this.how };
  }
}

const METHODS = {
  'tasks/get': (task) => task.shown,
  'tasks/update': (task, { inputResponses = {} }) => task.update(inputResponses),
  'tasks/cancel': (task) => task.cancel(),
};

/** A listener that answers what is about tasks, before one that takes a body which was read already. */
export function withTasks(listener) {
  const tasks = new Map();
  return async (request, answer) => {
    const body = await read(request);
    const said = body && answerOf(request.headers, body, tasks);
    if (!said) return listener(request, answer, body);
    const { status, ...message } = await said;
    answer.writeHead(status, { 'content-type': 'application/json' });
    answer.end(JSON.stringify({ jsonrpc: '2.0', id: body.id, ...message }));
  };
}

async function read(request) {
  if (request.method !== 'POST') return undefined;
  let all = '';
  for await (const part of request.setEncoding('utf8')) all += part;
  return JSON.parse(all);
}

const error = (status, code, message, data) => ({ status, error: { code, message, ...(data && { data }) } });
const result = (value, resultType = 'complete') => ({ status: 200, result: { resultType, ...value } });

/** Nothing where it is not about tasks. */
function answerOf(headers, { method, params = {} }, tasks) {
  const isTool = method === 'tools/call' && params.name in JOBS;
  if (!isTool && !method?.startsWith('tasks/')) return undefined;
  if (!isTool && !METHODS[method]) return error(404, NO_METHOD, 'Method not found');
  if (headers['mcp-method'] !== method || headers['mcp-name'] !== (params.name ?? params.taskId)) return error(400, MISMATCH, 'Header mismatch');
  if (!params._meta?.[META]) return undefined;
  const knows = params._meta[META].extensions?.[EXTENSION];
  const missing = () => error(400, NO_CAPABILITY, 'Missing capability', { requiredCapabilities: { extensions: { [EXTENSION]: {} } } });
  if (isTool) return calls(params, knows, missing, tasks);
  if (!knows) return missing();
  const task = tasks.get(params.taskId);
  return task ? result(METHODS[method](task, params)) : error(200, INVALID, 'No such task');
}

async function calls({ name, arguments: given = {}, inputResponses }, knows, missing, tasks) {
  if (!knows && NEEDS_TASK.includes(name)) return missing();
  if (!knows) return result(await JOBS[name](given, () => Promise.resolve({})));
  const asked = inputResponses?.user_name?.content?.name;
  if (name === 'test_tool_with_task' && !asked) return result({ inputRequests: { user_name: form('What is your name?') } }, 'input_required');
  const task = new Task(JOBS[name], { ...given, ...(asked && { name: asked }) });
  tasks.set(task.id, task);
  return result(task.shown, 'task');
}

// The suite's server for revision 2025-11-25: sessions, streams that are resumed, and a server that asks its client.
import { randomUUID } from 'node:crypto';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { asMessages, INFO, listed, needs, pause, PROMPTS, read, RESOURCES, TEMPLATE, text, tool, TOOLS } from './things.mjs';

const TEXT = { type: 'string' };
const choice = (value, title) => ({ const: value, title });

const DEFAULTS = {
  name: { ...TEXT, default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { ...TEXT, enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
};
const ENUMS = {
  untitledSingle: { ...TEXT, enum: ['option1', 'option2', 'option3'] },
  titledSingle: { ...TEXT, oneOf: [choice('value1', 'First Option'), choice('value2', 'Second Option'), choice('value3', 'Third Option')] },
  legacyEnum: { ...TEXT, enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
  untitledMulti: { type: 'array', items: { ...TEXT, enum: ['option1', 'option2', 'option3'] } },
  titledMulti: { type: 'array', items: { anyOf: [choice('value1', 'First Choice'), choice('value2', 'Second Choice'), choice('value3', 'Third Choice')] } },
};

const asks = (properties) => async (_, call) => {
  const { action, content } = await call.elicit('Please fill this in', { type: 'object', properties, required: [] });
  return { content: [text(`Elicitation completed: action=${action}, content=${JSON.stringify(content)}`)] };
};

/** Those that only this revision has: the server asks while its answer is still to come. */
const OWN_TOOLS = [
  tool('test_tool_with_logging', async (_, call) => {
    for (const [words, wait] of [['Tool execution started', 50], ['Tool processing data', 50], ['Tool execution completed', 0]]) {
      await call.log('info', words);
      await pause(wait);
    }
    return { content: [text('All of it was logged')] };
  }),
  tool('test_sampling', async ({ prompt }, call) => {
    const { content } = await call.sample({ messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 });
    return { content: [text(`LLM response: ${content.text}`)] };
  }, needs({ prompt: TEXT })),
  tool('test_elicitation', async ({ message }, call) => {
    const schema = needs({ username: { ...TEXT, description: "User's response" }, email: { ...TEXT, description: "User's email address" } });
    const { action, content } = await call.elicit(message, schema);
    return { content: [text(`User response: ${action}, content: ${JSON.stringify(content)}`)] };
  }, needs({ message: TEXT })),
  tool('test_elicitation_sep1034_defaults', asks(DEFAULTS)),
  tool('test_elicitation_sep1330_enums', asks(ENUMS)),
  // The stream ends before its answer, which the client then comes for with `GET` and `Last-Event-ID`.
  tool('test_reconnection', async (_, call) => {
    call.endStream();
    await pause(100);
    return { content: [text('Resumed')] };
  }),
];

const CAPABILITIES = { tools: {}, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} };

/** A server for one session, over whatever transport. */
export function sessionServer(more = []) {
  const server = new Server(INFO, { capabilities: CAPABILITIES });
  const tools = [...TOOLS, ...OWN_TOOLS, ...more];
  const on = (schema, answer) => server.setRequestHandler(schema, answer);
  on(types.ListToolsRequestSchema, () => ({ tools: tools.map(({ run, ...shown }) => shown) }));
  on(types.CallToolRequestSchema, ({ params }, extra) => {
    const found = tools.find(({ name }) => name === params.name);
    if (!found) throw new types.McpError(types.ErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    return found.run(params.arguments ?? {}, way(extra));
  });
  on(types.ListPromptsRequestSchema, () => ({ prompts: PROMPTS.map(listed) }));
  on(types.GetPromptRequestSchema, ({ params }) => asMessages(PROMPTS.find(({ name }) => name === params.name).messages(params.arguments ?? {})));
  on(types.ListResourcesRequestSchema, () => ({ resources: RESOURCES.map(({ text: _, blob, ...shown }) => shown) }));
  on(types.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [TEMPLATE] }));
  on(types.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const contents = read(uri);
    if (!contents) throw new types.McpError(-32002, 'Resource not found', { uri });
    return { contents };
  });
  for (const schema of [types.SubscribeRequestSchema, types.UnsubscribeRequestSchema, types.SetLevelRequestSchema]) on(schema, () => ({}));
  on(types.CompleteRequestSchema, () => ({ completion: { values: ['paris', 'park', 'party'], total: 3, hasMore: false } }));
  return server;
}

/** The way from a tool to the client that called it: all of it on the stream of its call. */
function way(extra) {
  const token = extra._meta?.progressToken;
  return {
    progress: async (progress, total) => {
      if (token !== undefined) await extra.sendNotification({ method: 'notifications/progress', params: { progressToken: token, progress, total } });
    },
    log: (level, data) => extra.sendNotification({ method: 'notifications/message', params: { level, data } }),
    sample: (params) => extra.sendRequest({ method: 'sampling/createMessage', params }, types.CreateMessageResultSchema),
    elicit: (message, requestedSchema) =>
      extra.sendRequest({ method: 'elicitation/create', params: { message, requestedSchema } }, types.ElicitResultSchema),
    endStream: () => extra.closeSSEStream?.(),
  };
}

/** Events by the order they came in, each with its stream. */
class Events {
  #all = [];

  async storeEvent(stream, message) {
    return `${this.#all.push({ stream, message })}`;
  }

  async getStreamIdForEventId(id) {
    return this.#all[Number(id) - 1]?.stream;
  }

  async replayEventsAfter(id, { send }) {
    const stream = this.#all[Number(id) - 1]?.stream;
    if (stream === undefined) throw new Error(`no event ${id}`);
    for (let next = Number(id); next < this.#all.length; next += 1) {
      const { stream: own, message } = this.#all[next];
      // A stream begins with an event that has an id and no message.
      if (own === stream && Object.keys(message).length) await send(`${next + 1}`, message);
    }
    return stream;
  }
}

/** A listener for `node:http` that keeps sessions. */
export function sessions(more) {
  const open = new Map();
  return async (request, answer) => {
    const id = request.headers['mcp-session-id'];
    const known = open.get(id);
    if (id && !known) {
      answer.writeHead(404, { 'content-type': 'application/json' });
      return answer.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }));
    }
    await (known ?? (await begin(open, more))).handleRequest(request, answer);
  };
}

async function begin(open, more) {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new Events(),
    retryInterval: 100,
    onsessioninitialized: (id) => open.set(id, transport),
    onsessionclosed: (id) => open.delete(id),
  });
  await sessionServer(more).connect(transport);
  return transport;
}

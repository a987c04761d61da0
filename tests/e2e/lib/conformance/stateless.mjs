// The suite's server for revision 2026-07-28: no sessions, and what it has to ask is in its answers.
import { randomBytes } from 'node:crypto';
import * as node from '@modelcontextprotocol/node';
import {
  acceptedContent, createMcpHandler, createRequestStateCodec, fromJsonSchema, inputRequired, McpServer,
  MissingRequiredClientCapabilityError, ProtocolError, ProtocolErrorCode, ResourceNotFoundError,
} from '@modelcontextprotocol/server';
import { EXTENSION, TASK_TOOLS, withTasks } from './tasks.mjs';
import { asMessages, INFO, listed, needs, PROMPTS, read, RESOURCES, TEMPLATE, text, tool, TOOLS } from './things.mjs';

const TEXT = { type: 'string' };
const state = createRequestStateCodec({ key: randomBytes(32) });

const form = (message, properties) => inputRequired.elicit({ mode: 'form', message, requestedSchema: needs(properties) });
const ask = { messages: [{ role: 'user', content: text('What is the capital of France?') }], maxTokens: 100 };
const greeting = { messages: [{ role: 'user', content: text('Generate a greeting') }], maxTokens: 50 };
const name = () => form('What is your name?', { name: TEXT });
const confirmation = () => form('Please confirm', { ok: { type: 'boolean' } });
const done = (words) => ({ content: [text(words)] });

/** What the tool says once its state has come back unchanged; the SDK refuses any other. */
const withState = async (_, call) => {
  if (call.state()?.asked) return done('state-ok');
  return inputRequired({ inputRequests: { confirm: confirmation() }, requestState: await state.mint({ asked: true }) });
};

/** Those that only this revision has: what they need comes with another call. */
const OWN_TOOLS = [
  tool('test_input_required_result_elicitation', (_, call) => {
    const given = acceptedContent(call.responses, 'user_name');
    return typeof given?.name === 'string' ? done(`Hello, ${given.name}!`) : inputRequired({ inputRequests: { user_name: name() } });
  }),
  tool('test_input_required_result_sampling', (_, call) => {
    const given = call.responses?.capital_question;
    return given ? done(given.content.text) : inputRequired({ inputRequests: { capital_question: inputRequired.createMessage(ask) } });
  }),
  tool('test_input_required_result_list_roots', (_, call) => {
    const given = call.responses?.client_roots;
    return given ? done(given.roots.map(({ uri }) => uri).join(' ')) : inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  }),
  tool('test_input_required_result_request_state', withState),
  tool('test_input_required_result_tampered_state', withState),
  tool('test_input_required_result_multiple_inputs', async (_, call) => {
    if (call.state()?.asked && Object.keys(call.responses ?? {}).length === 3) return done('All three came');
    const inputRequests = { user_name: name(), greeting: inputRequired.createMessage(greeting), client_roots: inputRequired.listRoots() };
    return inputRequired({ inputRequests, requestState: await state.mint({ asked: true }) });
  }),
  tool('test_input_required_result_multi_round', async (_, call) => {
    const { round = 0 } = call.state() ?? {};
    if (round === 2) return done(`${call.responses?.step2?.content?.color}`);
    const next = round === 0
      ? { step1: form('Step 1: What is your name?', { name: TEXT }) }
      : { step2: form('Step 2: What is your favorite color?', { color: TEXT }) };
    return inputRequired({ inputRequests: next, requestState: await state.mint({ round: round + 1 }) });
  }),
  tool('test_input_required_result_capabilities', (_, call) => {
    const { sampling, elicitation } = call.capabilities;
    const inputRequests = { ...(sampling && { greeting: inputRequired.createMessage(greeting) }), ...(elicitation && { user_name: name() }) };
    return Object.keys(call.responses ?? {}).length ? done('Answered') : inputRequired({ inputRequests });
  }),
  tool('test_missing_capability', (_, call) => {
    if (!call.capabilities.sampling) throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } });
    return done('There is sampling');
  }),
  tool('test_streaming_elicitation', async (_, call) => {
    await call.progress(1, 2);
    return inputRequired({ inputRequests: { user_name: name() } });
  }),
  tool('test_logging_tool', async (_, call) => {
    await call.log('info', 'Only for those who ask for it');
    return done('Logged, where it was asked for');
  }),
  tool('test_trigger_tool_change', (_, call) => {
    call.notify.toolsChanged();
    return done('The tools changed');
  }),
  tool('test_trigger_prompt_change', (_, call) => {
    call.notify.promptsChanged();
    return done('The prompts changed');
  }),
  tool('greet', ({ name: whom }) => done(`Hello, ${whom}!`), needs({ name: TEXT })),
  tool('test_x_mcp_header', ({ region }) => done(`In ${region}`), needs({ region: { ...TEXT, 'x-mcp-header': 'Region' } })),
];

const ASKING_PROMPT = {
  name: 'test_input_required_result_prompt',
  answer: (call) => {
    const given = acceptedContent(call.responses, 'user_context');
    if (!given) return inputRequired({ inputRequests: { user_context: form('What context should the prompt use?', { context: TEXT }) } });
    return asMessages([text(`In the context of ${given.context}`)]);
  },
};
const prompts = [...PROMPTS, ASKING_PROMPT];
const tools = [...TOOLS, ...OWN_TOOLS, ...TASK_TOOLS];

const HINT = { ttlMs: 60_000, cacheScope: 'public' };
const OPTIONS = {
  capabilities: { tools: { listChanged: true }, prompts: { listChanged: true }, resources: {}, completions: {}, logging: {}, extensions: { [EXTENSION]: {} } },
  cacheHints: Object.fromEntries(
    ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read'].map((method) => [method, HINT]),
  ),
  requestState: { verify: state.verify },
};

function build(notify) {
  const mcp = new McpServer(INFO, OPTIONS);
  // Registered, so that the SDK compares headers with arguments; called by us, because it would make results of errors.
  for (const { name: own, description, inputSchema, run } of tools) {
    mcp.registerTool(own, { description, inputSchema: fromJsonSchema(inputSchema) }, run);
  }
  const on = (method, answer) => mcp.server.setRequestHandler(method, answer);
  on('tools/call', ({ params }, ctx) => {
    const found = tools.find((one) => one.name === params.name);
    if (!found) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    return found.run(params.arguments ?? {}, way(ctx, notify));
  });
  on('prompts/list', () => ({ prompts: prompts.map(listed) }));
  on('prompts/get', ({ params }, ctx) => {
    const found = prompts.find((one) => one.name === params.name);
    return found.answer ? found.answer(way(ctx, notify)) : asMessages(found.messages(params.arguments ?? {}));
  });
  on('resources/list', () => ({ resources: RESOURCES.map(({ text: _, blob, ...shown }) => shown) }));
  on('resources/templates/list', () => ({ resourceTemplates: [TEMPLATE] }));
  on('resources/read', ({ params: { uri } }) => {
    const contents = read(uri);
    if (!contents) throw new ResourceNotFoundError(uri);
    return { contents };
  });
  on('completion/complete', () => ({ completion: { values: ['paris', 'park', 'party'], total: 3, hasMore: false } }));
  return mcp;
}

/** The way from a tool to the client that called it. */
function way({ mcpReq }, notify) {
  const token = mcpReq._meta?.progressToken;
  return {
    notify,
    responses: mcpReq.inputResponses,
    state: () => mcpReq.requestState(),
    capabilities: mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {},
    progress: async (progress, total) => {
      if (token !== undefined) await mcpReq.notify({ method: 'notifications/progress', params: { progressToken: token, progress, total } });
    },
    log: (level, words) => mcpReq.log(level, words),
  };
}

/** A listener for `node:http`. */
export function stateless() {
  const handler = createMcpHandler(() => build(handler.notify), { legacy: 'reject' });
  return withTasks(node.toNodeHandler(handler));
}

/** What keeps pages of the internet from a server on this machine. */
export function guarded(listener) {
  const [host, origin] = [node.localhostHostValidation(), node.localhostOriginValidation()];
  return async (request, answer) => {
    if (host(request, answer) && origin(request, answer)) await listener(request, answer);
  };
}

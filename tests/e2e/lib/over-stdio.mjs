// The official client on stdio, with `hallpass connect` as its server: what the conformance suite starts to see the bridge. It
// lists the tools and calls each; whatever else a scenario wants, the client does by itself.
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as V1Transport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import * as v2 from '@modelcontextprotocol/client';
import { StdioClientTransport as V2Transport } from '@modelcontextprotocol/client/stdio';

const url = process.argv.at(-1);
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2025-11-25';
const stateless = revision >= '2026-07-28';
const env = { HOME: process.env.HOME, PATH: process.env.PATH, XDG_DATA_HOME: process.env.XDG_DATA_HOME };
const settings = { command: process.env.HALLPASS_BIN, args: ['connect', '--no-browser', url], env, stderr: 'inherit' };
const capabilities = { elicitation: { form: { applyDefaults: true } } };

const { client, transport } = stateless
  ? {
      client: new v2.Client({ name: 'over stdio', version: '1' }, { capabilities, versionNegotiation: { mode: { pin: revision } } }),
      transport: new V2Transport(settings),
    }
  : { client: new V1Client({ name: 'over stdio', version: '1' }, { capabilities }), transport: new V1Transport(settings) };
client.setRequestHandler(stateless ? 'elicitation/create' : ElicitRequestSchema, async () => ({ action: 'accept', content: stateless ? { confirmed: true } : {} }));

/** A value for each argument; one that is called `schema` wants to see the schema of the first tool again. */
function made({ properties = {} }, first) {
  const values = { string: 'text', number: 2, integer: 2, boolean: true };
  const value = ([name, { type }]) => [name, type === 'object' && name === 'schema' ? first : values[type]];
  return Object.fromEntries(Object.entries(properties).map(value).filter(([, one]) => one !== undefined));
}

await client.connect(transport);
const { tools } = await client.listTools();
const { toolCalls } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT || '{}');
const calls = toolCalls ?? tools.map(({ name, inputSchema }) => ({ name, arguments: made(inputSchema, tools[0].inputSchema) }));
for (const call of calls) {
  const required = tools.find(({ name }) => name === call.name)?.inputSchema.required ?? [];
  if (required.some((name) => call.arguments?.[name] === undefined)) continue;
  // An answer that the client does not take is the client's own affair.
  await client.callTool(call).catch((error) => (stateless && error.code === 'INVALID_RESULT' ? undefined : Promise.reject(error)));
}
await client.close();

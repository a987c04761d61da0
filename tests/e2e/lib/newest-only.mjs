// An MCP server on stdio, with the official SDK, that knows revision 2026-07-28 and nothing older. One of its tools asks its
// client before it answers.
import { McpServer, acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const answer = z.object({ sure: z.boolean() });
const text = (words) => ({ content: [{ type: 'text', text: words }] });

function made() {
  const server = new McpServer({ name: 'newest-only', version: '1.2.3' }, { instructions: 'Be kind', capabilities: { tools: {} } });
  server.registerTool('echo', { inputSchema: z.object({ message: z.string() }) }, async ({ message }) => text(`Echo: ${message}`));
  server.registerTool('delete', { inputSchema: z.object({ what: z.string() }) }, async ({ what }, context) => {
    const said = acceptedContent(context.mcpReq.inputResponses, 'sure', answer);
    if (said) return text(said.sure ? `${what} is deleted` : `${what} stays`);
    if (context.mcpReq.inputResponses) return text('nobody said anything');
    return inputRequired({ inputRequests: { sure: inputRequired.elicit({ message: `Delete ${what}?`, requestedSchema: answer }) } });
  });
  return server;
}

serveStdio(made, { legacy: 'reject' });

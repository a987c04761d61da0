// The suite's server for revision 2025-11-25 as a program on stdio.
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { sessionServer } from './sessions.mjs';

await sessionServer().connect(new StdioServerTransport());

// MCP by hand, for what an official client would hide: the bare answer to one token.
import { exchange } from './http.mjs';

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'by-hand', version: '1' } },
};

/** The status and headers that an MCP URL answers to this access token. */
export function initialize(url, token) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  if (token) headers.authorization = `Bearer ${token}`;
  return exchange(url, { method: 'POST', headers, body: JSON.stringify(INITIALIZE) });
}

/** Milliseconds until the token is refused with 401. */
export async function refusedAfter(url, token, seconds) {
  const begin = Date.now();
  while (Date.now() - begin < seconds * 1000) {
    const { status } = await initialize(url, token);
    if (status === 401) return Date.now() - begin;
    if (status !== 200) throw new Error(`${url} answered ${status}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the token was still accepted after ${seconds} s`);
}

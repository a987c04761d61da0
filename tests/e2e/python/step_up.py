"""The official Python client calls tools one after the other, and signs in again whenever it lacks a scope.

It prints `OPEN number url` when a person has to open something, and `HAD scopes` after each call.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

from client import Memory, say


class Callback:
    """A listener on loopback that takes one answer after the other."""

    def __init__(self):
        self.answers = asyncio.Queue()
        self.asked = 0

    async def open(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        target = (await reader.readline()).split()[1].decode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        await self.answers.put({name: values[0] for name, values in parse_qs(urlsplit(target).query).items()})

    async def redirect(self, url):
        self.asked += 1
        say("OPEN", f"{self.asked} {url}")

    async def result(self):
        answer = await self.answers.get()
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


async def main(url, calls):
    callback, memory = Callback(), Memory()
    port = await callback.open()
    metadata = OAuthClientMetadata(
        client_name="Official Python client",
        redirect_uris=[f"http://127.0.0.1:{port}/callback"],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(url, metadata, memory, callback.redirect, callback.result)
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            for tool, given in json.loads(calls):
                result = await client.call_tool(tool, given)
                assert result.content and not result.is_error, result
                say("HAD", memory.tokens.scope)


asyncio.run(main(*sys.argv[1:]))

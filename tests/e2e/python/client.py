"""The official Python client in a program of its own: it signs in, calls a tool until it is refused, and says so.

It prints `OPEN url` when a person has to open something, `TOKENS json` after each call that used other tokens than the
one before, and ends when it would ask the person a second time.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

SECONDS_BETWEEN_CALLS = 0.3


def say(word, value=""):
    print(word, value, flush=True)


class Memory:
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Callback:
    """A listener on loopback, as every desktop client has one. It takes one answer after the other."""

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
        self.ask(url)

    async def result(self):
        answer = await self.answers.get()
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


class Once(Callback):
    """Asks the person once."""

    def ask(self, url):
        if self.asked > 1:
            say("ASKED-AGAIN")
            sys.exit(0)
        say("OPEN", url)


@asynccontextmanager
async def connected(url, callback, document=None):
    """The client, signed in or about to be, and what it keeps."""
    memory, port = Memory(), await callback.open()
    metadata = OAuthClientMetadata(
        client_name="Official Python client",
        redirect_uris=[f"http://127.0.0.1:{port}/callback"],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(url, metadata, memory, callback.redirect, callback.result, client_metadata_url=document)
    async with httpx2.AsyncClient(auth=auth, timeout=90) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            yield client, memory


async def main(url, document):
    async with connected(url, Once(), document or None) as (client, memory):
        await calls(client, memory)


async def calls(client, memory):
    said = None
    while True:
        result = await client.call_tool("echo", {"message": "python"})
        assert result.content[0].text == "Echo: python", result
        if memory.tokens.access_token != said:
            said = memory.tokens.access_token
            say("TOKENS", json.dumps({"client": memory.client.client_id, **memory.tokens.model_dump(exclude_none=True)}))
        await asyncio.sleep(SECONDS_BETWEEN_CALLS)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

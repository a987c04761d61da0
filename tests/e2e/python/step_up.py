"""The official Python client calls tools one after the other, and signs in again whenever it lacks a scope.

It prints `OPEN number url` when a person has to open something, and `HAD scopes` after each call.
"""

import asyncio
import json
import sys

from client import Callback, connected, say


class EachTime(Callback):
    """Asks the person as often as it takes."""

    def ask(self, url):
        say("OPEN", f"{self.asked} {url}")


async def main(url, calls):
    async with connected(url, EachTime()) as (client, memory):
        for tool, given in json.loads(calls):
            result = await client.call_tool(tool, given)
            assert result.content and not result.is_error, result
            say("HAD", memory.tokens.scope)


asyncio.run(main(*sys.argv[1:]))

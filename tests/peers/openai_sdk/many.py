"""Fifty calls at once from one asynchronous client, half of them streams."""

import asyncio
import json

from clients import MODEL, asynchronous, say

CALLS = 50


async def call(client, number):
    prompt = say("word " * number)
    if number % 2:
        return (await client.chat.completions.create(model=MODEL, messages=prompt)).usage
    stream = await client.chat.completions.create(
        model=MODEL, messages=prompt, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        usage = chunk.usage
    return usage


async def main():
    async with asynchronous() as client:
        usages = await asyncio.gather(*(call(client, number) for number in range(CALLS)))
    print(
        json.dumps(
            {
                "calls": len(usages),
                "prompt": sum(usage.prompt_tokens for usage in usages),
                "completion": sum(usage.completion_tokens for usage in usages),
            }
        )
    )


asyncio.run(main())

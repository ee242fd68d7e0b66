"""Chat completions on FastAPI, uvicorn and sse-starlette, as a team would write them: a real peer.

An answer has TOKENS (20) words. The first comes FIRST_MS (20) after the request, each further one
TOKEN_MS (5) after the one before. sse-starlette ends lines with CR LF, and comments may come before
the first token, as gateways send them while a request waits for its turn.
"""

import asyncio
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

TOKENS = int(os.environ.get("TOKENS", "20"))
FIRST_S = float(os.environ.get("FIRST_MS", "20")) / 1000
TOKEN_S = float(os.environ.get("TOKEN_MS", "5")) / 1000
WORDS = "the goose is a calm and careful bird which sees everything".split()


class Message(BaseModel):
    role: str
    content: str


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    model: str
    messages: list[Message]
    max_tokens: int | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()


app = FastAPI(title="chat-service")
served = Counter()
clients = set()
ids = itertools.count(1)


async def words() -> AsyncIterator[str]:
    await asyncio.sleep(FIRST_S)
    for place, word in zip(range(TOKENS), itertools.cycle(WORDS), strict=False):
        if place > 0:
            await asyncio.sleep(TOKEN_S)
        yield word if place == 0 else f" {word}"


def usage(request: ChatRequest) -> dict:
    prompt = sum(len(message.content.split()) for message in request.messages)
    served["prompt_tokens"] += prompt
    served["completion_tokens"] += TOKENS
    return {
        "prompt_tokens": prompt,
        "completion_tokens": TOKENS,
        "total_tokens": prompt + TOKENS,
    }


async def events(request: ChatRequest, head: dict) -> AsyncIterator[dict]:
    """What sse-starlette makes events of: a comment, chunks, perhaps the usage, and the end."""

    def chunk(choices: list[dict], **more) -> dict:
        return {"data": json.dumps({**head, "choices": choices, **more})}

    def choice(delta: dict, finish_reason: str | None = None) -> list[dict]:
        return [{"index": 0, "delta": delta, "finish_reason": finish_reason}]

    yield {"comment": "in the queue"}
    yield chunk(choice({"role": "assistant", "content": ""}))
    async for word in words():
        yield chunk(choice({"content": word}))
    yield chunk(choice({}, "stop"))
    if request.stream_options.include_usage:
        yield chunk([], usage=usage(request))
    # Whoever has read the end of a stream finds it counted.
    served["streams"] += 1
    yield {"data": "[DONE]"}


@app.post("/v1/chat/completions")
async def completions(request: ChatRequest, http: Request):
    served["requests"] += 1
    # A port of a client is a connection: none is used twice within a test.
    clients.add((http.client.host, http.client.port))
    head = {"id": f"chatcmpl-{next(ids)}", "created": int(time.time()), "model": request.model}
    if request.stream:
        return EventSourceResponse(events(request, {**head, "object": "chat.completion.chunk"}))
    content = "".join([word async for word in words()])
    message = {"role": "assistant", "content": content}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage(request),
    }


@app.get("/control/ledger")
async def ledger() -> dict:
    return {**served, "connections": len(clients)}

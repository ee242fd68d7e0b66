"""A client that waits less than an answer takes gives up, and retries if it may."""

import openai as sdk
from clients import MODEL, azure, openai, say


def times_out(client):
    try:
        client.chat.completions.create(model=MODEL, messages=say("Hello"))
    except sdk.APITimeoutError:
        return
    raise AssertionError("no timeout")


times_out(openai(timeout=1.0))
times_out(azure(timeout=1.0))
times_out(openai(timeout=1.0, max_retries=1))
print("ok")

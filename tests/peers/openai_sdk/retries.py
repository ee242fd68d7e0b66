"""The SDK retries by itself what it is told to retry. Prints the calls that it must have made."""

import openai as sdk
from clients import MODEL, azure, openai, say

# Every second call is refused: 1 works, 2 is refused and 3 works, 4 is refused and 5 works.
for make in (openai, azure):
    client = make(max_retries=2)
    for _ in range(3):
        assert client.chat.completions.create(model=MODEL, messages=say("Hello")).choices

# The last of them was 11: without retries, 12 is an error.
client = openai(max_retries=0)
try:
    client.chat.completions.create(model=MODEL, messages=say("Hello"))
    raise AssertionError("no error")
except sdk.RateLimitError as error:
    assert error.status_code == 429 and error.code == "rate_limit_exceeded", error
    assert float(error.response.headers["retry-after-ms"]) == 20, error.response.headers
print("ok")

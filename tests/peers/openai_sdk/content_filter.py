"""Prompts that are filtered are errors, answers that are filtered are not."""

import openai as sdk
from clients import MODEL, azure, say

client = azure()
try:
    client.chat.completions.create(model=MODEL, messages=say("Hello"))
    raise AssertionError("no error")
except sdk.BadRequestError as error:
    assert error.code == "content_filter" and error.param == "prompt", error
    inner = error.body["innererror"]
    assert inner["code"] == "ResponsibleAIPolicyViolation", inner
    assert inner["content_filter_result"]["hate"]["filtered"], inner

answer = client.chat.completions.create(model=MODEL, messages=say("Hello"))
assert answer.choices[0].finish_reason == "content_filter", answer
print("ok")

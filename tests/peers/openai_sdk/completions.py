"""Plain, streamed, JSON and parsed completions. Prints the tokens of all usages, and the calls."""

import enum
import json

import pydantic
from clients import MODEL, azure, openai, say

usages = []


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Step(pydantic.BaseModel):
    text: str
    weight: float = pydantic.Field(ge=0, le=1)


class Verdict(pydantic.BaseModel):
    score: int = pydantic.Field(ge=1, le=5)
    level: Level
    steps: list[Step]
    doubt: str | None
    is_final: bool


def plain(client):
    answer = client.chat.completions.create(model=MODEL, messages=say("Hello"), max_tokens=20)
    choice = answer.choices[0]
    assert answer.object == "chat.completion" and answer.model == MODEL, answer
    assert choice.message.role == "assistant" and choice.finish_reason == "length", choice
    assert len(choice.message.content.split()) == 20 == answer.usage.completion_tokens
    usages.append(answer.usage)


def several(client):
    answer = client.chat.completions.create(model=MODEL, messages=say("Hello"), n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3
    usages.append(answer.usage)


def streamed(client):
    stream = client.chat.completions.create(
        model=MODEL,
        messages=say("Hello"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert choices[0].delta.role == "assistant", choices[0]
    text = "".join(choice.delta.content or "" for choice in choices)
    assert len(text.split()) == 50, text
    assert choices[-1].finish_reason == "stop", choices[-1]
    assert all(choice.finish_reason is None for choice in choices[:-1])
    assert not chunks[-1].choices and chunks[-1].usage.completion_tokens == 50, chunks[-1]
    usages.append(chunks[-1].usage)


def with_helper(client):
    """The SDK's own collector of streams, which checks what it collects."""
    with client.chat.completions.stream(model=MODEL, messages=say("Hello")) as stream:
        done = [event for event in stream if event.type == "content.done"]
        answer = stream.get_final_completion()
    assert done[0].content == answer.choices[0].message.content, done
    # Without the option, a stream tells no usage: it is that of the same request as a whole.
    assert answer.usage is None
    return len(answer.choices[0].message.content.split())


def json_object(client):
    answer = client.chat.completions.create(
        model=MODEL, messages=say("Rate it"), response_format={"type": "json_object"}
    )
    value = json.loads(answer.choices[0].message.content)
    assert 1 <= value["score"] <= 100 and value["answer"] and value["rationale"], value
    usages.append(answer.usage)


def parsed(client):
    answer = client.chat.completions.parse(
        model=MODEL, messages=say("Judge it"), response_format=Verdict
    )
    verdict = answer.choices[0].message.parsed
    assert isinstance(verdict, Verdict) and verdict.steps, verdict
    usages.append(answer.usage)


def headers(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=say("Hello"))
    for name in ("limit-requests", "remaining-requests", "limit-tokens", "remaining-tokens"):
        assert int(raw.headers[f"x-ratelimit-{name}"]) > 0, raw.headers
    answer = raw.parse()
    assert answer._request_id == raw.headers["x-request-id"]
    usages.append(answer.usage)


unreported = 0
for client in (openai(), azure()):
    for use in (plain, several, streamed, json_object, parsed, headers):
        use(client)
    unreported += with_helper(client)
assert [model.id for model in openai().models.list()] == ["gpt-4o", "gpt-4o-mini"]

print(
    json.dumps(
        {
            "calls": len(usages) + 2,
            "prompt": sum(usage.prompt_tokens for usage in usages) + 2 * usages[0].prompt_tokens,
            "completion": sum(usage.completion_tokens for usage in usages) + unreported,
        }
    )
)

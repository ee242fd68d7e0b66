"""Every error arrives as the SDK's own exception."""

import openai as sdk
from clients import MODEL, azure, openai, say


def fails(kind, status, client, **options):
    options = {"model": MODEL, "messages": say("Hello"), **options}
    try:
        client.chat.completions.create(**options)
    except kind as error:
        assert type(error) is kind and error.status_code == status, error
        return error
    raise AssertionError(f"no {kind.__name__}")


wrong = fails(sdk.AuthenticationError, 401, openai(api_key="wrong"))
assert wrong.code == "invalid_api_key" and wrong.type == "invalid_request_error", wrong
wrong = fails(sdk.AuthenticationError, 401, azure(api_key="wrong"))
assert wrong.code == "401", wrong
missing = fails(sdk.NotFoundError, 404, azure(), model="nothing")
assert missing.code == "DeploymentNotFound", missing
missing = fails(sdk.NotFoundError, 404, openai(), model="nothing")
assert missing.code == "model_not_found" and missing.param == "model", missing
bad = fails(sdk.BadRequestError, 400, openai(), temperature=3)
assert bad.param == "temperature" and bad.code == "decimal_above_max_value", bad
bad = fails(sdk.BadRequestError, 400, azure(), messages=[])
assert bad.param == "messages", bad

# The right key still works.
assert openai().chat.completions.create(model=MODEL, messages=say("Hello")).usage.total_tokens
print("ok")

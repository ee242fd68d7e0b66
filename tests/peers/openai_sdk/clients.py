"""Clients as a user makes them: nothing but an address and a key."""

import sys

from openai import AsyncOpenAI, AzureOpenAI, OpenAI

URL = sys.argv[1]
KEY = "right"
VERSION = "2024-10-21"
MODEL = "gpt-4o"


def openai(**options):
    return OpenAI(base_url=f"{URL}/v1", **{"api_key": KEY, "max_retries": 0, **options})


def asynchronous(**options):
    return AsyncOpenAI(base_url=f"{URL}/v1", **{"api_key": KEY, "max_retries": 0, **options})


def azure(**options):
    options = {"api_key": KEY, "max_retries": 0, "api_version": VERSION, **options}
    return AzureOpenAI(azure_endpoint=URL, **options)


def say(text):
    return [{"role": "system", "content": "Answer as JSON."}, {"role": "user", "content": text}]

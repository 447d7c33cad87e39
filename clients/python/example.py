#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The official OpenAI package for Python against tritd: only the base URL differs.

    pip install openai
    python3 example.py                  (TRITD_URL=http://host:port for another address)

The test suite runs the same calls with the Node package; this file itself is only checked for its
syntax there, because the Python package is not installed by it.
"""
import os

from openai import BadRequestError, OpenAI

client = OpenAI(
    base_url=os.environ.get("TRITD_URL", "http://127.0.0.1:8080") + "/v1",
    api_key="none",  # tritd asks for no key; the package insists on one
)

# 1. What is served?
model = client.models.list().data[0].id
print(f"model: {model}")

# 2. A whole answer. The same seed gives the same answer, whatever else the server is doing.
answer = client.chat.completions.create(
    model=model,
    messages=[
        {"role": "system", "content": "You answer in one sentence."},
        {"role": "user", "content": "Why is the sky blue?"},
    ],
    max_tokens=60,
    seed=1,
)
print(f"answer: {answer.choices[0].message.content}")
print(f"tokens: {answer.usage.prompt_tokens} in, {answer.usage.completion_tokens} out")

# 3. The same as a stream. Leaving the block closes the connection, and tritd stops computing.
print("story: ", end="")
with client.chat.completions.create(
    model=model,
    messages=[{"role": "user", "content": "Tell me a very short story."}],
    max_tokens=80,
    stream=True,
    stream_options={"include_usage": True},
) as stream:
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
        if chunk.usage:
            print(f"\ntokens: {chunk.usage.total_tokens}")

# 4. Errors arrive as the package's own classes, with the field that is wrong.
try:
    client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Hello"}],
        temperature=99,
    )
except BadRequestError as error:
    print(f"refused: {error.param}: {error.message}")

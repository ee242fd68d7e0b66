"""httpx against the reference services, as a user's own client would call them.

    python services.py INFERENCE LLM MULTI_QUERY ENSEMBLE      (base URLs)

Ends with the line "ok", or with an AssertionError. Counts are held against the services' ledgers.
"""

import asyncio
import json
import sys

import httpx

INFERENCE, LLM, MULTI_QUERY, ENSEMBLE = sys.argv[1:5]
PATIENCE = httpx.Timeout(60.0)


def ledger(client, url):
    return client.get(f"{url}/control/ledger").raise_for_status().json()


def reset(client, *urls):
    for url in urls:
        assert client.post(f"{url}/control/reset").status_code == 204


def inference(client):
    reset(client, INFERENCE)
    answer = client.post(f"{INFERENCE}/predict", json={"text": "I love it"}).raise_for_status().json()
    assert answer["sentiment"] == "positive" and 0 < answer["confidence"] <= 1, answer
    assert set(answer) == {"text", "sentiment", "confidence", "model_version"}, answer
    batch = client.post(f"{INFERENCE}/predict_batch", json={"texts": ["good", "awful"]}).json()
    assert [p["sentiment"] for p in batch["predictions"]] == ["positive", "negative"], batch
    wrong = client.post(f"{INFERENCE}/predict", json={"text": ""})
    assert wrong.status_code == 422 and wrong.json()["detail"][0]["loc"] == ["body", "text"]
    books = ledger(client, INFERENCE)
    assert books["requests"]["answered"] == 3 and books["items"] == 3, books
    assert books["counters"]["predict"] == 2 and books["counters"]["append"] == 3, books


def faults_while_running(client):
    """Faults are set, seen by a client that knows nothing of them, and taken back."""
    reset(client, INFERENCE)
    faults = [{"kind": 429, "every": 3, "retry_after": "1s"}, {"kind": "reset", "rate": 0.2}]
    assert client.put(f"{INFERENCE}/control/faults", json=faults).json() == faults
    limited = broken = fine = 0
    for _ in range(60):
        try:
            answer = client.post(f"{INFERENCE}/predict", json={"text": "good"})
        except (httpx.RemoteProtocolError, httpx.ReadError):
            broken += 1
            continue
        if answer.status_code == 429:
            assert answer.headers["retry-after"] == "1"
            limited += 1
        else:
            answer.raise_for_status()
            fine += 1
    books = ledger(client, INFERENCE)
    assert limited == 20 and broken > 0, (limited, broken)
    assert books["faults"] == {"429": limited, "reset": broken}, books["faults"]
    assert books["requests"]["broken"] == broken and books["items"] == fine, books
    assert client.put(f"{INFERENCE}/control/faults", json=[]).json() == []


def multi_query(client):
    reset(client, LLM, MULTI_QUERY)
    rows = [{"id": n, "cs1_bg": f"patient {n}", "cs2_bg": f"history {n}"} for n in range(5)]
    asked = {"state_id": "httpx", "rows": rows}
    answer = client.post(f"{MULTI_QUERY}/rows", json=asked).raise_for_status().json()
    assert len(answer["rows"]) == 5, answer
    for sent, row in zip(rows, answer["rows"]):
        assert "_error" not in row, row
        assert sent.items() <= row.items(), row
        assert len([name for name in row if name.endswith("_usage")]) == 4, row
    assert ledger(client, LLM)["requests"]["answered"] == 20
    upstream = ledger(client, MULTI_QUERY)["upstream"]
    assert upstream["begun"] == upstream["answered"] == 20, upstream
    assert client.post(f"{MULTI_QUERY}/rows", json={"rows": 3}).status_code in (400, 422)


def ensemble(client):
    reset(client, ENSEMBLE)
    asked = {"question": "What are the best AI models?", "force_time_travel": True}
    answer = client.post(f"{ENSEMBLE}/api/time-travel", json=asked).raise_for_status().json()
    assert answer["is_eligible"] and len(answer["snapshots"]) == 4, answer
    assert answer["evolution_narrative"] and answer["total_time_seconds"] > 0, answer
    assert ledger(client, ENSEMBLE)["upstream"]["answered"] == 6
    events = []
    with client.stream("POST", f"{ENSEMBLE}/api/time-travel-stream", json=asked) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: "))["type"])
    assert events[0] == "start" and events[-1] == "complete", events
    assert events.count("snapshot") == 4 and "narrative" in events, events
    metrics = client.get(f"{ENSEMBLE}/api/monitoring/metrics").raise_for_status().text
    assert "_duration_seconds" in metrics and 'quantile="0.95"' in metrics, metrics
    assert client.get(f"{ENSEMBLE}/api/health").status_code == 200


async def many_at_once():
    """A hundred requests on connections of httpx's own choice: none is lost or counted twice."""
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        await client.post(f"{INFERENCE}/control/reset")
        asked = [client.post(f"{INFERENCE}/predict", json={"text": "good"}) for _ in range(100)]
        answers = await asyncio.gather(*asked)
        assert all(answer.status_code == 200 for answer in answers)
        books = (await client.get(f"{INFERENCE}/control/ledger")).json()
        assert books["requests"]["answered"] == 100, books["requests"]
        assert books["sockets"]["accepted"] <= 101, books["sockets"]


with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
    inference(client)
    faults_while_running(client)
    multi_query(client)
    ensemble(client)
asyncio.run(many_at_once())
print("ok")

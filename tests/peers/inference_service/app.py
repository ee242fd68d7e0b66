"""A sentiment service on FastAPI and uvicorn, as a team would write it: a real peer for tests.

The variable ENGINE chooses how the model is called:

  blocking  right inside `async def`: the event loop stands still until the model is done, so that
            requests are served one after another and even /health waits
  threaded  on an executor with four threads: the event loop stays free

The work of the model is simulated: BASE_MS (20) for a call and PER_ITEM_MS (0.5) for each text.
"""

import asyncio
import os
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import AfterValidator, BaseModel, Field

SERVICE = "inference-service"
VERSION = "1.0.0"
MODEL_VERSION = "lexicon-1"
MAX_BATCH = 100
WORKERS = 4


class SentimentModel:
    """Counts words of a small lexicon, and takes as long as a real model would."""

    POSITIVE = {"good", "great", "love", "excellent", "happy", "best", "wonderful"}
    NEGATIVE = {"bad", "terrible", "hate", "awful", "sad", "worst", "poor"}

    def __init__(self, base_ms: float, per_item_ms: float) -> None:
        self.base_ms = base_ms
        self.per_item_ms = per_item_ms

    def predict(self, texts: list[str]) -> list[tuple[str, float]]:
        """A sentiment and its confidence for each text. Synchronous, as model libraries are."""
        time.sleep((self.base_ms + self.per_item_ms * len(texts)) / 1000)
        return [self._sentiment(text) for text in texts]

    def _sentiment(self, text: str) -> tuple[str, float]:
        words = text.lower().split()
        score = sum((word in self.POSITIVE) - (word in self.NEGATIVE) for word in words)
        label = "positive" if score > 0 else "negative" if score < 0 else "neutral"
        return label, round(min(0.99, 0.5 + abs(score) / (len(words) + 1)), 4)


def not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("text must not be blank")
    return text


Text = Annotated[str, Field(min_length=1, max_length=5000), AfterValidator(not_blank)]


class PredictRequest(BaseModel):
    text: Text


class PredictBatchRequest(BaseModel):
    texts: Annotated[list[Text], Field(min_length=1)]


class Prediction(BaseModel):
    text: str
    sentiment: str
    confidence: float
    model_version: str = MODEL_VERSION


class Predictions(BaseModel):
    predictions: list[Prediction]


model = SentimentModel(
    base_ms=float(os.environ.get("BASE_MS", "20")),
    per_item_ms=float(os.environ.get("PER_ITEM_MS", "0.5")),
)
executor = ThreadPoolExecutor(max_workers=WORKERS)


async def predict_blocking(texts: list[str]) -> list[tuple[str, float]]:
    return model.predict(texts)


async def predict_threaded(texts: list[str]) -> list[tuple[str, float]]:
    return await asyncio.get_running_loop().run_in_executor(executor, model.predict, texts)


ENGINES = {"blocking": predict_blocking, "threaded": predict_threaded}
engine = os.environ.get("ENGINE", "blocking")
if engine not in ENGINES:
    raise SystemExit(f"ENGINE is {engine!r}; it must be one of {', '.join(ENGINES)}")
predict_texts = ENGINES[engine]

service = FastAPI(title=SERVICE, version=VERSION)


@service.get("/")
async def root() -> dict:
    return {"service": SERVICE, "version": VERSION, "engine": engine}


@service.get("/health")
async def health() -> dict:
    return {
        "status": "healthy",
        "model_loaded": True,
        "service_name": SERVICE,
        "version": VERSION,
    }


@service.get("/models/info")
async def models_info() -> dict:
    return {"model_version": MODEL_VERSION, "max_batch_size": MAX_BATCH, "engine": engine}


@service.post("/predict")
async def predict(request: PredictRequest) -> Prediction:
    [(sentiment, confidence)] = await predict_texts([request.text])
    return Prediction(text=request.text, sentiment=sentiment, confidence=confidence)


@service.post("/predict_batch")
async def predict_batch(request: PredictBatchRequest) -> Predictions:
    size = len(request.texts)
    if size > MAX_BATCH:
        detail = f"Batch size {size} exceeds maximum allowed size of {MAX_BATCH}"
        raise HTTPException(status_code=400, detail=detail)
    results = await predict_texts(request.texts)
    return Predictions(
        predictions=[
            Prediction(text=text, sentiment=sentiment, confidence=confidence)
            for text, (sentiment, confidence) in zip(request.texts, results, strict=True)
        ]
    )


class Ledger:
    """Counts what the service received and what it answered, outside of everything that FastAPI does.

    A response is counted before its first byte leaves: whoever has read a response finds it here.
    """

    def __init__(self, app) -> None:
        self.app = app
        self.paths = {"/", "/health", "/models/info", "/predict", "/predict_batch"}
        self.reset()

    def reset(self) -> dict:
        self.requests = Counter()
        self.statuses = defaultdict(Counter)
        return self.report()

    def report(self) -> dict:
        return {
            route: {"requests": count, "statuses": dict(self.statuses[route])}
            for route, count in self.requests.items()
        }

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/control/"):
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "unknown"
        route = f"{scope['method']} {path}"
        self.requests[route] += 1

        async def counted(message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[route][message["status"]] += 1
            await send(message)

        await self.app(scope, receive, counted)


app = Ledger(service)


@service.get("/control/ledger")
async def ledger() -> dict:
    return app.report()


@service.post("/control/reset")
async def reset() -> dict:
    return app.reset()

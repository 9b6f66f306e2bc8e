"""What the worker counts, on the framework's Prometheus endpoint (`PROMETHEUS_PORT`, `PROMETHEUS_MULTIPROC_DIR`).

Jobs are processes of their own: without the directory, only what the main process counts is seen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    # each number below opens a file in it; the framework makes the directory only when the worker starts
    Path(directory).mkdir(parents=True, exist_ok=True)

from prometheus_client import Counter, Gauge, Histogram
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MetricsSettings(BaseSettings):
    """`prometheus_port` is where the worker serves them, nowhere without one; in `prometheus_multiproc_dir` the job
    processes keep theirs. The worker empties that directory when it starts."""

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, env_ignore_empty=True, frozen=True
    )

    prometheus_port: int | None = Field(default=None, ge=1, le=65535)
    prometheus_multiproc_dir: str | None = None


# Every counter has a label: one without opens the file of all counters right here, which the framework then deletes in
# the main process, with all that is counted in it later.
SESSIONS_STARTED = Counter("rapport_sessions_started", "Sessions that began or resumed a conversation", ["how"])
SESSIONS_ENDED = Counter("rapport_sessions_ended", "Sessions that ended", ["reason"])
BINDINGS_REFUSED = Counter("rapport_bindings_refused", "Jobs and input refused because of who asked", ["why"])
MEMORY_OFF = Counter("rapport_memory_off", "Calls that began without memory", ["why"])
LEFT_OUT = Counter("rapport_left_out", "Turns of which something is not kept: private, or nobody's words", ["why"])
STORE_SECONDS = Histogram(
    "rapport_store_seconds",
    "How long the store took to answer",
    ["call"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
STORE_FAILURES = Counter("rapport_store_failures", "Calls that the store did not answer", ["call"])
WRITES_WAITING = Gauge("rapport_writes_waiting", "Writes that wait for the store", multiprocess_mode="livesum")
RECALL_SECONDS = Histogram(
    "rapport_recall_seconds",
    "How long it took to find what matters for a turn",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
)
EMBEDDING_SECONDS = Histogram(
    "rapport_embedding_seconds",
    "How long it took to get vectors of meaning, or none; no turn waits for it",
    ["got"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)

CURATION_REQUESTS = Counter(
    "rapport_curation_requests", "Times that a model was asked to put in order what was said", ["how"]
)
CURATION_TOKENS = Counter("rapport_curation_tokens", "Tokens that this took, where the model tells", ["how"])
CURATION_SECONDS = Histogram(
    "rapport_curation_seconds",
    "How long a call's curators took in all; no turn waits for them",
    buckets=(0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0),
)
APP_SECONDS = Histogram(
    "rapport_app_seconds",
    "How long a tool of somebody's app took, and how it ended: done, error (the app's), or why not",
    ["how"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
LINKS = Counter("rapport_app_links", "Links to connect an app, by the way in which they were sent", ["how"])


def measure_store(call: str, seconds: float, answered: bool) -> None:
    STORE_SECONDS.labels(call).observe(seconds)
    if not answered:
        STORE_FAILURES.labels(call).inc()


def measure_embedding(seconds: float, succeeded: bool) -> None:
    EMBEDDING_SECONDS.labels("vectors" if succeeded else "none").observe(seconds)


def measure_app(seconds: float, how: str) -> None:
    APP_SECONDS.labels(how).observe(seconds)


def count_link(how: str) -> None:
    LINKS.labels(how).inc()


def count_curation(spent: Mapping[str, float]) -> None:
    """One call's, as `Curating.report` tells it."""
    CURATION_REQUESTS.labels("believed").inc(spent["requests"] - spent["refused"])
    CURATION_REQUESTS.labels("refused").inc(spent["refused"])
    CURATION_TOKENS.labels("spent").inc(spent["tokens"])
    if spent["requests"]:
        CURATION_SECONDS.observe(spent["seconds"])

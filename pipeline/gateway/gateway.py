"""Answers a request: rows in, live features looked up, the model asked, scores and their freshness out."""

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Sequence
from typing import Any

from modules.live import entities
from modules.spec import Declaration
from pipeline.gateway import times
from pipeline.gateway.call import Call
from pipeline.gateway.joined import Asked, Joined
from pipeline.gateway.lookup import Clock, Looked, Lookup, as_of
from pipeline.gateway.metrics import Metrics
from pipeline.gateway.model_client import ModelClient, Scores
from pipeline.gateway.refusal import Problem, Refusal, of_fields
from pipeline.gateway.rows import RowParser, Rows, parse_key
from pipeline.live.columns import request_columns
from pipeline.live.requests import canonical
from pipeline.serving.examples import serialized_examples


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a gateway stands between."""

    declaration: Declaration
    store: str
    """The URL of the online store."""
    model_server: str
    """host:port."""
    model: str
    """The model's name there."""
    clock: Clock = "now"
    """Where a request's time comes from that has none: the machine's clock, or the store's watermark."""
    store_timeout_s: float = 1.0
    model_timeout_s: float = 1.0


class Gateway:
    """Everything behind the HTTP interface. Made and used in one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet.

        Raises:
          InputError: The URL names no store.
        """
        declaration = settings.declaration
        self.metrics = Metrics()
        self.parser = RowParser(declaration)
        self._declaration = declaration
        self._entities = {entity.name: entity for entity in entities(declaration)}
        self._as_it_is = declaration.serving.model_copy(update={"when_stale": "serve", "when_down": "refuse"})
        self._lookup = Lookup(declaration, settings.store, settings.clock, settings.store_timeout_s)
        self._model = ModelClient(declaration, settings.model_server, settings.model, settings.model_timeout_s)
        self._joined = Joined(self._answer)

    def close(self) -> None:
        """Gives back what it holds."""
        self._lookup.close()
        self._model.close()

    async def predict(self, body: bytes, call: Call) -> dict[str, Any]:
        """The reply to POST /v1/predict.

        Raises:
          Refusal: As the contract says.
        """
        with self.metrics.stage("parse"):
            rows = self.parser.parse(body)
        call.facts |= {"rows": len(rows), "features": self._declaration.features_fingerprint}
        asked = Asked(rows, call)
        try:
            return await self._joined.reply(asked)
        finally:
            for stage, seconds in asked.took.items():
                self.metrics.took(stage, seconds)

    async def _answer(self, group: Sequence[Asked]) -> list[dict[str, Any]]:
        """The replies to requests: one look-up, one call of the model."""
        begun = time.perf_counter()
        for each in group:
            each.took["wait"] = begun - each.since
        rows = Rows.together([each.rows for each in group])

        def replies(looked: Looked) -> list[dict[str, Any]]:
            looked_at = time.perf_counter()
            try:
                scores = self._score(rows, looked, group)
            finally:
                scored_at = time.perf_counter()
                for each in group:
                    each.took |= {"store": looked_at - begun, "model": scored_at - looked_at}
            self.metrics.predicted(looked, scores.version)
            ends = itertools.accumulate(len(each.rows) for each in group)
            parts = [range(end - len(each.rows), end) for each, end in zip(group, ends, strict=True)]
            for each, part in zip(group, parts, strict=True):
                each.call.facts |= _facts(looked, scores, part) | {"joined": len(group)}
            return [self._reply(looked, scores, part) for part in parts]

        check, policy = self.parser.check_included, self._declaration.serving
        return await self._lookup.look(rows, check, policy, replies, alone=len(group) == 1)

    def _score(self, rows: Rows, looked: Looked, group: Sequence[Asked]) -> Scores:
        live = {name: found.values.tolist() for name, found in looked.live.items()}
        examples = serialized_examples({**rows.values, **live}, self._declaration)
        trace = next((each.call.trace for each in group if each.call.trace), ())  # a call has one parent
        return self._model.score(examples, trace)

    def _reply(self, looked: Looked, scores: Scores, part: range) -> dict[str, Any]:
        """The reply of the request whose rows are a part of those looked up."""
        predictions = [
            {"score": scores.values.item(row), **looked.facts(row), "defaults": looked.defaults.item(row)}
            for row in part
        ]
        return {"model": {"name": self._model.name, "version": scores.version}, "predictions": predictions}

    async def features(self, entity: str, texts: list[str], time: str | None) -> dict[str, Any]:
        """The reply to GET /v1/features/<entity>/<key>.

        Args:
          entity: Such as trips/pickup_community_area.
          texts: The key's values as they are written.
          time: As it is written; None: the clock's.

        Raises:
          Refusal: As the contract says.
        """
        if entity not in self._entities:
            raise Refusal(404, f"There is no entity {entity!r}; declared are {', '.join(self._entities) or 'none'}.")
        found = self._entities[entity]
        key = parse_key(texts, found.key, self._declaration)
        needed = {name for each in self._entities.values() for name in request_columns(each)}
        types = {name: canonical(self._declaration.columns[name]) for name in needed}
        rows = Rows({name: [key.get(name)] for name in needed}, types, [self._time(time)])
        names = [feature.name for feature in found.features]
        facts = await self._lookup.look(rows, lambda *_: None, self._as_it_is, lambda looked: looked.facts(0, names))
        return {"entity": entity, "key": key, **facts}

    async def ready(self) -> dict[str, Any]:
        """The reply to GET /readyz.

        Raises:
          Refusal: The model server is away or too slow, or the model is not the declared one; or the store is, and
            the policy is to refuse.
        """
        marks = await self._lookup.watermarks()
        version = await asyncio.to_thread(self._model.check)
        return {"status": "ready", "model": {"name": self._model.name, "version": version}, "as_of": as_of(marks)}

    def _time(self, given: str | None) -> int | None:
        if given is None:
            return None
        assert self._declaration.time is not None  # there are live features
        column = self._declaration.columns[self._declaration.time]
        number = given.removeprefix("-")
        whole = number.isascii() and number.isdigit() and len(number) < 20
        if (micros := times.parse(int(given) if whole else given, column)) is None:
            raise of_fields([Problem(None, "time", f"accepted: {times.accepted(column)}.")])
        return micros


def _facts(looked: Looked, scores: Scores, part: range) -> dict[str, Any]:
    """What the log line says of a part of the rows."""
    mine = slice(part.start, part.stop)
    stale, defaults = looked.stale[mine].any(), looked.defaults[mine].any()
    return {"version": scores.version, "stale": bool(stale), "defaults": bool(defaults)}

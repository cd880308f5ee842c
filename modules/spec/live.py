"""The live section: sources of events, and the features that are computed from them as of a time."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from modules.spec.columns import Column
from modules.spec.duration import Duration, SomeDuration, micros
from modules.spec.field_error import FieldError, within
from modules.spec.frozen import Frozen
from modules.spec.live_feature import LiveFeature
from modules.spec.source import Source
from modules.spec.typed import Typed

SEMANTICS = 1
"""Counts up with each change of what a declared feature means or of how rows are laid out."""


class Live(Frozen):
    """The live features and their sources."""

    tick: SomeDuration = "1s"
    """What windows count in; all durations are whole ticks."""
    lookback: Duration = "1h"
    """How long after its time a request can still be answered."""
    sources: Annotated[dict[str, Source], Field(min_length=1)]
    """The streams of events, by name."""
    features: Annotated[dict[str, LiveFeature], Field(min_length=1)]
    """The features, by name."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_ticks(self, self.tick, "lookback")
        for name, source in self.sources.items():
            with within("sources", name):
                check_name(name, "is part of where its rows are")
                _check_ticks(source, self.tick, "lateness", "ahead", "slack")
                if all(feature.source != name for feature in self.features.values()):
                    raise FieldError("a source that a feature names; leave out the others")
        for name, feature in self.features.items():
            with within("features", name):
                if feature.source not in self.sources:
                    raise FieldError(f"one of {', '.join(self.sources)}", "source")
                _check_ticks(feature, self.tick, "window", "delay")
                feature.check_ticks(micros(self.tick))
        return self

    def check(self, dataset: Mapping[str, Column]) -> None:
        """Checks sources and features against the dataset's columns.

        Raises:
          FieldError: They do not have what is named.
        """
        for name, source in self.sources.items():
            with within("sources", name):
                source.check(self.columns(name, dataset))
        for name, feature in self.features.items():
            with within("features", name):
                feature.check(self.sources[feature.source], self.columns(feature.source, dataset), dataset)

    def columns(self, source: str, dataset: Mapping[str, Column]) -> dict[str, Typed]:
        """The columns of a source's events: its own, or the dataset's."""
        if (own := self.sources[source].columns) is not None:
            return own
        return {name: Typed(**column.model_dump(include=set(Typed.model_fields))) for name, column in dataset.items()}

    def read_columns(self, source: str, dataset: Mapping[str, Column]) -> dict[str, Typed]:
        """Those of the columns of a source's events that are read: times, ids, keys, values and filters."""
        declared, own = self.sources[source], self.columns(source, dataset)
        read = {declared.time, declared.ingest_time, *(own if declared.id is None else declared.id)}
        for feature in self.features.values():
            if feature.source == source:
                read.update(feature.key, *(taken.reads for taken in feature.takes))
        return {name: typed for name, typed in own.items() if name in read}

    def may_lag(self, feature: str) -> int | None:
        """How far the stream may lag so that a feature has its value of training, in microseconds; None: not at all."""
        declared = self.features[feature]
        spare = micros(declared.delay) - micros(self.sources[declared.source].lateness)
        return spare if spare >= 0 else None

    def without_operation(self) -> Self:
        """A copy without what changes no feature of any row in history: descriptions, streams, slack and lookback."""
        return self.model_copy(
            update={
                "lookback": "0s",
                "sources": {name: source.model_copy(update={"stream": None, "slack": "0s"})
                            for name, source in self.sources.items()},
                "features": {name: feature.model_copy(update={"description": ""})
                             for name, feature in self.features.items()},
            }
        )  # fmt: skip

    def fingerprint(self, dataset: str, columns: Mapping[str, Column]) -> str:
        """sha256 of what online rows depend on: dataset, tick, sources, keys and features; 64 hexadecimal digits.

        Descriptions, defaults, transforms, places, slack and lookback do not enter, nor the roles of the dataset's
        columns, nor columns that are not read.
        """
        tick = micros(self.tick)
        meaning: dict[str, Any] = {"semantics": SEMANTICS, "dataset": dataset, "tick": tick}
        meaning["sources"] = {
            name: source.model_dump(include={"time", "ingest_time", "id"})
            | {"lateness": micros(source.lateness), "ahead": micros(source.ahead)}
            | {"columns": {column: typed.model_dump() for column, typed in self.read_columns(name, columns).items()}}
            for name, source in self.sources.items()
        }
        meaning["features"] = {
            name: feature.model_dump(exclude={"description", "default", "transform", "window", "delay", "step", "edge"})
            | {"ticks": feature.ticks(tick)}
            for name, feature in self.features.items()
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def check_name(name: str, why: str) -> None:
    """Checks that a name can stand where names of a few letters only can.

    Raises:
      FieldError: It has other characters than letters, digits and underscores, or starts with a digit.
    """
    if not name.isidentifier() or not name.isascii():
        raise FieldError(f"a name of letters, digits and underscores, because it {why}")


def _check_ticks(section: Frozen, tick: str, *fields: str) -> None:
    for field in fields:
        if micros(duration := getattr(section, field)) % micros(tick):
            raise FieldError(f"whole ticks of {tick}, which {duration} is not", field)

"""What the gateway answers, as its OpenAPI page says it."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from modules.spec import Declaration


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FieldProblem(_Reply):
    """What is wrong at one place of a request."""

    row: int | None = Field(description="The request's number in the body, from 0.")
    field: str | None
    message: str


class Error(_Reply):
    """Why a request is not answered."""

    message: str
    problems: list[FieldProblem]


class ErrorReply(_Reply):
    """A reply of 4xx or 5xx."""

    error: Error
    request_id: str


class Health(_Reply):
    """The process lives."""

    status: Literal["ok"]


class Model(_Reply):
    """What scored."""

    name: str
    version: int


class _Ready(_Reply):
    status: Literal["ready"]
    model: Model


class _Live(_Reply):
    status: Literal["known", "empty", "unknown", "default"]
    complete: bool


_AS_OF = "By source, the watermark: everything that was ingested before it is in; null if nothing is known."


def replies(declaration: Declaration) -> tuple[type[BaseModel], type[BaseModel], type[BaseModel]]:
    """The replies of /v1/predict, /v1/features and /readyz for a declaration."""
    time = (str, Field(json_schema_extra={"format": "date-time"}))
    sources = list(declaration.live.sources) if declaration.live else []
    as_of: Any = _made("AsOf", dict.fromkeys(sources, str | None))
    kinds = {"int": _live_value("WholeNumber", int), "float": _live_value("Number", float)}
    live = {name: kinds[feature.dtype] for name, feature in declaration.live_features.items()}
    all_live: Any = _made("Live", live)
    some_live: Any = _made("SomeLive", live, required=False)
    common: dict[str, Any] = {
        "time": time,
        "as_of": (as_of, Field(description=_AS_OF)),
        "complete": (bool, Field(description="Whether all events that count are in all live values.")),
        "stale": (bool, Field(description="Whether a source is further behind than serving.stale_after.")),
    }
    prediction: Any = create_model(
        "Prediction",
        __base__=_Reply,
        score=(float, Field(ge=0, le=1, description="The probability of label 1, a float32.")),
        live=(all_live, ...),
        defaults=(bool, Field(description="Whether the live features are defaults by policy, and not looked up.")),
        **common,
    )
    predict = create_model("PredictReply", __base__=_Reply, model=(Model, ...), predictions=(list[prediction], ...))
    key = dict[str, int | str | bool]
    features = create_model(
        "FeaturesReply", __base__=_Reply, entity=(str, ...), key=(key, ...), live=(some_live, ...), **common
    )
    ready = create_model("Ready", __base__=_Ready, as_of=(as_of, ...))
    return predict, features, ready


def _live_value(name: str, kind: type) -> type[BaseModel]:
    return create_model(name, __base__=_Live, value=(kind, ...))


def _made(name: str, kinds: Mapping[str, Any], *, required: bool = True) -> type[BaseModel]:
    """A model with fields of any name; pydantic's own names are not in their way."""
    fields: dict[str, Any] = {
        f"f{number}": (kind, Field(... if required else None, alias=field))
        for number, (field, kind) in enumerate(kinds.items())
    }
    return create_model(name, __base__=_Reply, **fields)

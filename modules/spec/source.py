"""Where events come from, and which of them count."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from modules.spec.duration import Duration
from modules.spec.field_error import FieldError, within
from modules.spec.frozen import Frozen
from modules.spec.typed import COLUMN_TYPES, ColumnNames, Typed, type_of


class Source(Frozen):
    """A stream of events, and its history."""

    columns: Annotated[dict[str, Typed], Field(min_length=1)] | None = None
    """The events' columns; without it the dataset's own."""
    time: str
    """The column with the event's time, of type timestamp. Windows go by it."""
    ingest_time: str | None = None
    """The column with the time at which the first durable log took the event in, for recorded events; without it, and
    where it is null, recorded events count however late they were. A message broker stamps its own."""
    id: ColumnNames | None = None
    """The columns that tell events apart, beside key, time and values; without it all columns."""
    lateness: Duration
    """How long after its time an event may be ingested and still count, in history and in the stream."""
    ahead: Duration = "0s"
    """How long before its time an event may be ingested and still count."""
    slack: Duration = "0s"
    """How much longer slots stay open where the watermark is an estimate: above the broker's redelivery time."""
    batch: str | None = None
    """Where the history is: as `data`. Without it the dataset's data."""
    stream: str | None = None
    """Where the stream is: file://PATH, pubsub://PROJECT/SUBSCRIPTION or kafka://BROKER:PORT/TOPIC."""

    @model_validator(mode="after")
    def _own_columns_have_own_rows(self) -> Self:
        if self.columns is not None and self.batch is None:
            raise FieldError("where the history is, because the source has columns of its own", "batch")
        return self

    def check(self, columns: Mapping[str, Typed]) -> None:
        """Checks the source against its columns.

        Raises:
          FieldError: They do not have what it names.
        """
        for field, column in (("time", self.time), ("ingest_time", self.ingest_time)):
            if column is not None:
                with within(field):
                    type_of(column, columns, "timestamp")
        for index, column in enumerate(self.id or ()):
            with within("id", index):
                type_of(column, columns, *COLUMN_TYPES)

"""Requests with what an online store answered them: for each live feature its value, its status, its completeness."""

from collections.abc import Mapping

import pyarrow as pa

from modules.spec import Declaration
from pipeline.ingest.fingerprint import stamped
from pipeline.live.reader import LiveValue, Status

STATUS_SUFFIX, COMPLETE_SUFFIX = "_status", "_complete"

_WORDS = pa.array([status.words for status in Status])


def with_answers(
    declaration: Declaration, requests: pa.RecordBatch, answers: Mapping[str, LiveValue]
) -> pa.RecordBatch:
    """Requests as they are written, and three columns a live feature.

    These are its value as int64 or float64, null where the request is too old; `<name>_status`: known, empty, unknown
    or too old; and `<name>_complete`.

    Args:
      declaration: The features.
      requests: `rows` of them.
      answers: A reader's, by feature; all arrays have the shape (rows,).
    """
    arrays = dict(zip(requests.schema.names, requests.columns, strict=True))
    for name in declaration.live_features:
        answer = answers[name]
        arrays[name] = pa.array(answer.values, mask=answer.status == Status.TOO_OLD)
        arrays[name + STATUS_SUFFIX] = _WORDS.take(pa.array(answer.status))
        arrays[name + COMPLETE_SUFFIX] = pa.array(answer.complete)
    batch = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
    return batch.cast(stamped(batch.schema, declaration))

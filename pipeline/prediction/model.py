"""The pushed model behind RunInference: batches of rows in, the same batches with their scores out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.ml.inference.base import ModelHandler

from modules.spec import ROW_ID, Declaration
from pipeline.ingest.examples import to_examples, values_of
from pipeline.ingest.files import at_hand
from pipeline.serving.signature import ScoringModel

SCORE = "score"


class SavedModelHandler(ModelHandler[pa.RecordBatch, pa.RecordBatch, ScoringModel]):
    """Scores record batches with a SavedModel's `serving_default`.

    A batch has the columns of the requests and the live features. It comes back with one column more: `score`, float32,
    null in rows that have no value of a live feature.
    """

    def __init__(self, directory: str, declaration: Declaration, batch_rows: int) -> None:
        """Loads nothing yet.

        Args:
          directory: A SavedModel, here or in a bucket.
          declaration: The features that it was trained on.
          batch_rows: How many rows one call of the signature gets at most.
        """
        super().__init__(min_batch_size=1, max_batch_size=1)  # of record batches, which are batches themselves
        self._directory = directory
        self._declaration = declaration
        self._batch_rows = batch_rows

    def load_model(self) -> ScoringModel:
        with at_hand(self._directory) as here:
            return ScoringModel(here)

    def run_inference(
        self,
        batch: Sequence[pa.RecordBatch],
        model: ScoringModel,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        for rows in batch:
            features = _features(rows, self._declaration)
            scores = np.concatenate(
                [
                    model.score({name: values.slice(at, self._batch_rows) for name, values in features.items()}).numpy()
                    for at in range(0, len(rows), self._batch_rows)
                ]
            )
            unanswered = np.zeros(len(rows), bool)
            for name in self._declaration.live_features:
                unanswered |= pc.is_null(rows.column(name)).to_numpy(zero_copy_only=False)
            yield rows.append_column(pa.field(SCORE, pa.float32()), pa.array(scores, pa.float32(), mask=unanswered))

    def get_num_bytes(self, batch: Sequence[pa.RecordBatch]) -> int:
        return sum(rows.nbytes for rows in batch)


def _features(rows: pa.RecordBatch, declaration: Declaration) -> dict[str, pa.Array]:
    """The model's inputs as the Evaluator reads them: through an example, where everything is rounded once."""
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    columns |= dict.fromkeys([declaration.label.name, ROW_ID], pa.nulls(len(rows)))
    examples = to_examples(columns, declaration)
    return {name: values_of(examples, name) for name in declaration.features}

"""Small models in the form of an export: their scores depend on every bit of every input, and on the version."""

from pathlib import Path

import tensorflow as tf

from modules.export import save
from modules.raw_features import to_dense
from modules.spec import Declaration

Raw = dict[str, tf.Tensor | tf.SparseTensor]


class Stirred(tf.Module):
    """Scores that are a hash of the inputs, in [0, 1)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def transform(self, raw: Raw) -> dict[str, tf.Tensor]:
        """Each feature as text."""
        return {name: self._text(raw[name]) for name in sorted(raw)}

    def score(self, raw: Raw) -> dict[str, tf.Tensor]:
        """A hash of the row."""
        texts = self.transform(raw)
        row = tf.strings.join([str(self._seed), *texts.values()], "|")
        return {"score": tf.cast(tf.strings.to_hash_bucket_fast(row, 2**20), tf.float32) / 2**20}

    @staticmethod
    def _text(values: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
        if isinstance(values, tf.SparseTensor):
            given, present = to_dense(values)
            return tf.where(present, Stirred._text(given), "-")
        if values.dtype == tf.float32:
            values = tf.bitcast(values, tf.int32)
        return values if values.dtype == tf.string else tf.strings.as_string(values)


def export(declaration: Declaration, base: Path, version: int) -> Path:
    """Writes a version of the model of a declaration, as the Trainer does."""
    save(Stirred(version), declaration, str(base / str(version)), {})
    return base

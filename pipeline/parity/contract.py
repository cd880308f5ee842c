"""Check 7: all parts say that they were made with the same live features."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from modules.spec import Declaration, DeclarationError, InputError, NotFoundError
from pipeline.ingest import fingerprint
from pipeline.parity.check import Check
from pipeline.serving.fingerprint import check_model

NAME = "contract"


def contract(declaration: Declaration, files: Sequence[str], model: Path) -> Check:
    """Compares the declaration's fingerprint with those of the files and of the model, and the model's inputs with it.

    Args:
      declaration: The features.
      files: Examples, and what the backfill wrote.
      model: The exported model.
    """
    refusals = []
    for path in files:
        try:
            fingerprint.check(path, pq.read_schema(path), declaration)
        except InputError as error:
            refusals.append(str(error))
    try:
        check_model(model, declaration)
    except (DeclarationError, NotFoundError) as error:
        refusals.append(str(error))
    held = len(files) + 1
    words = f"{held} fingerprints are the declaration's." if not refusals else " ".join(refusals)
    return Check(NAME, not refusals, held, len(refusals), words)

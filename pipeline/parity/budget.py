"""Check 6: the model that is served loads, answers and fits as the declaration asks."""

from pathlib import Path

import numpy as np

from modules.spec import Declaration
from pipeline.parity.check import Check
from pipeline.parity.server import Server

NAME = "latency and size"


def budget(declaration: Declaration, model: Path, server: Server) -> Check:
    """Compares what the embedded server took to serve the model with `gate.budget`.

    Args:
      declaration: Has the budget.
      model: The SavedModel's directory.
      server: Serves it, and has answered single rows over gRPC.
    """
    allowed = declaration.gate.budget
    size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    answers = len(server.answers_s)
    p99 = float(np.percentile(server.answers_s, 99)) if answers else float("inf")
    measured = (
        ("loads", server.load_s, allowed.load_s, "s"),
        (f"answers a row (p99 of {answers:,})", p99 * 1e3, allowed.answer_p99_ms, "ms"),
        ("takes on the disk", size / 1e6, allowed.size_mb, "MB"),
        ("takes in memory", max(server.load_bytes, 0) / 1e6, allowed.memory_mb, "MB"),
    )
    over = sum(found > most for _, found, most, _ in measured)
    words = [
        f"{what} {'over budget: ' if found > most else ''}{found:,.3g} {unit} of {most:g}"
        for what, found, most, unit in measured
    ]
    return Check(NAME, not over, len(measured), over, "; ".join(words) + ".")

"""How well the scores rank: the ROC curve, and precision against recall."""

import dataclasses

import numpy as np

from pipeline.report.axis import axis
from pipeline.report.numbers import percent
from pipeline.report.plot import Dot, Frame, Key, Path, Plot
from pipeline.report.scores import Flags, Floats, Scores

THRESHOLD = 0.5
"""The score from which a row counts as positive in accuracy, precision and recall."""

_MOST_POINTS = 240


@dataclasses.dataclass(frozen=True, eq=False)
class Ranking:
    """Counts of the rows that score at least as high as each distinct score, from none to all."""

    true_positives: Floats
    false_positives: Floats

    @property
    def recall(self) -> Floats:
        """Share of the positives that are found; the ROC curve's y."""
        return self.true_positives / self.true_positives[-1]

    @property
    def false_alarms(self) -> Floats:
        """Share of the negatives that are taken for positives; the ROC curve's x."""
        return self.false_positives / self.false_positives[-1]

    @property
    def precision(self) -> Floats:
        """Share of the found that are positive; 1 where nothing is found."""
        found = self.true_positives + self.false_positives
        return np.divide(self.true_positives, found, out=np.ones_like(found), where=found > 0)

    @property
    def area(self) -> float:
        """Under the ROC curve: how often a positive scores above a negative, an equal score counting half."""
        return float(np.trapezoid(self.recall, self.false_alarms))


def ranking(labels: Flags, scores: Floats) -> Ranking:
    """Ranks rows by score; both classes must be there."""
    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    found = np.cumsum(positive, dtype=np.float64)[last]
    return Ranking(np.append(0.0, found), np.append(0.0, last + 1 - found))


def thin(xs: Floats, ys: Floats, most: int = _MOST_POINTS) -> tuple[Floats, Floats]:
    """At most `most` of a curve's points, evenly along it, both ends included."""
    way = np.append(0.0, np.cumsum(np.abs(np.diff(xs)) + np.abs(np.diff(ys))))
    chosen = np.unique(np.searchsorted(way, np.linspace(0, way[-1], most)))
    chosen = np.unique(np.append(chosen, [0, len(xs) - 1]))
    return (xs, ys) if len(xs) <= most else (xs[chosen], ys[chosen])


def ranking_plots(scores: Scores) -> tuple[Plot, ...]:
    """ROC, and precision against recall; nothing if the rows have one class."""
    if scores.labels.all() or not scores.labels.any():
        return ()
    ranked = {"candidate": ranking(scores.labels, scores.candidate)}
    if scores.baseline is not None:
        ranked = {"baseline": ranking(scores.labels, scores.baseline), **ranked}
    return _roc(ranked, scores), _precision_recall(ranked, scores)


def _keys(ranked: dict[str, Ranking], reference: str) -> list[Key]:
    texts = {"candidate": "this model", "baseline": "baseline"}
    named = [Key(texts[style], style) for style in texts if style in ranked]
    return [*named, Key(f"at {THRESHOLD:g}", "point"), Key(reference, "reference")]


def _at_threshold(scores: Scores) -> tuple[float, float, float]:
    """False alarms, recall and precision of the candidate where a row from THRESHOLD up counts as positive."""
    found = scores.candidate >= THRESHOLD
    true, false = float((found & scores.labels).sum()), float((found & ~scores.labels).sum())
    positives = float(scores.labels.sum())
    return false / (len(found) - positives), true / positives, true / (true + false) if true + false else 1.0


def _roc(ranked: dict[str, Ranking], scores: Scores) -> Plot:
    frame = Frame(axis(0, 1, "false positive rate"), axis(0, 1, "true positive rate"))
    paths = [Path(frame.line((0, 1), (0, 1)), "reference", "chance")]
    paths += [
        Path(frame.line(*thin(each.false_alarms, each.recall)), f"{style} curve") for style, each in ranked.items()
    ]
    false, true, _ = _at_threshold(scores)
    title = f"At a score of {THRESHOLD:g}: {percent(true)} of the positives, {percent(false)} of the negatives"
    return frame.plot(
        "ROC",
        f"ROC curve, area {ranked['candidate'].area:.4f}. {title}.",
        paths,
        [Dot(*frame.at(false, true), 4.5, "point", title)],
        keys=_keys(ranked, "chance"),
    )


def _precision_recall(ranked: dict[str, Ranking], scores: Scores) -> Plot:
    frame = Frame(axis(0, 1, "recall"), axis(0, 1, "precision"))
    share = float(scores.labels.mean())
    paths = [Path(frame.line((0, 1), (share, share)), "reference", f"{percent(share)} of the rows are positive")]
    for style, each in ranked.items():
        found = each.true_positives > 0
        recall, precision = thin(each.recall[found], each.precision[found])
        paths.append(Path(frame.stairs([0.0, *recall], precision), f"{style} curve"))
    _, recall_at, precision_at = _at_threshold(scores)
    title = f"At a score of {THRESHOLD:g}: recall {percent(recall_at)}, precision {percent(precision_at)}"
    return frame.plot(
        "Precision and recall",
        f"Precision against recall. {title}. {percent(share)} of the rows are positive.",
        paths,
        [Dot(*frame.at(recall_at, precision_at), 4.5, "point", title)],
        keys=_keys(ranked, "share of positives"),
    )

"""The learning curves: loss and AUC on the training rows and on the validation split, look by look."""

import math
from collections.abc import Mapping, Sequence

from pipeline.report.axis import axis
from pipeline.report.numbers import metric
from pipeline.report.plot import Dot, Frame, Key, Path, Plot

_MOST_DOTS = 40


def learning_curves(history: Sequence[Mapping[str, float]]) -> tuple[Plot, ...]:
    """Loss and AUC by step; looks without a finite value are left out.

    Args:
      history: One entry a look, see `modules/trainer.py`.
    """
    return tuple(
        _curve(history, name, field) for name, field in (("Loss", "loss"), ("AUC", "auc")) if _finite(history, field)
    )


def best_look(history: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    """The look whose weights were kept: that with the least validation loss; None if no look has one."""
    return min(_finite(history, "val_loss"), key=lambda look: look["val_loss"], default=None)


def _finite(history: Sequence[Mapping[str, float]], field: str) -> list[Mapping[str, float]]:
    return [look for look in history if math.isfinite(look.get(field, math.nan))]


def _curve(history: Sequence[Mapping[str, float]], name: str, field: str) -> Plot:
    lines = {style: _finite(history, key) for style, key in (("train", field), ("validation", f"val_{field}"))}
    fields = {"train": field, "validation": f"val_{field}"}
    values = [look[fields[style]] for style, looks in lines.items() for look in looks]
    pad = (max(values) - min(values)) * 0.06
    steps = [look["step"] for look in history]
    frame = Frame(
        axis(min(0, *steps), max(steps), "step", most=6, whole=True), axis(min(values) - pad, max(values) + pad, most=7)
    )
    paths, dots = [], []
    best = best_look(history)
    if best:
        top, bottom = frame.at(best["step"], frame.y.high), frame.at(best["step"], frame.y.low)
        rule = f"M{top[0]:.1f} {top[1]:.1f}L{bottom[0]:.1f} {bottom[1]:.1f}"
        paths.append(Path(rule, "reference", f"kept: step {best['step']:,.0f}"))
    for style, looks in lines.items():
        key = fields[style]
        paths.append(
            Path(frame.line([look["step"] for look in looks], [look[key] for look in looks]), f"{style} curve")
        )
        if len(looks) <= _MOST_DOTS:
            for look in looks:
                x, y = frame.at(look["step"], look[key])
                dots.append(Dot(x, y, 3.5, style, f"{style}, step {look['step']:,.0f}: {metric(look[key])}"))
    kept = [Key(f"kept, step {best['step']:,.0f}", "reference")] if best else []
    last = history[-1]
    return frame.plot(
        name,
        f"{name} by step, {len(history)} looks; at the last, step {last['step']:,.0f}, {metric(last[field])} in "
        f"training and {metric(last[f'val_{field}'])} in validation.",
        paths,
        dots,
        keys=[Key("train", "train"), Key("validation", "validation"), *kept],
    )

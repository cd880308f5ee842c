"""The one place where another library is changed at run time: Beam 2.77 asks twice and more for what cannot change.

Why: building and starting a pipeline, Beam calls `inspect.signature` on every method of every DoFn several times over,
and builds an argument parser for each look at its options. Together that was a fifth of the CPU time of a run on the
15,002 trips (`docs/benchmarks.md`). Both results depend on nothing but a function, or a class and a list of flags, so
they are kept.

When to delete it: when Beam keeps them itself. With another release than the one it was written for, it does nothing.
"""

import copy
import types
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core

RELEASE = "2.77."


def remember_signatures_and_options() -> bool:
    """Puts the memory in place, once.

    Returns:
      Whether this is the release of Beam that it is for.
    """
    if not beam.__version__.startswith(RELEASE):
        return False
    if not isinstance(core.get_function_args_defaults, _Signatures):
        core.get_function_args_defaults = _Signatures(core.get_function_args_defaults)
        PipelineOptions.view_as = _remembering_views(PipelineOptions.view_as)
    return True


class _Signatures:
    """`get_function_args_defaults`, which asks once for each function behind a bound method."""

    def __init__(self, ask: Callable[[Any], tuple[list[str], list[Any]]]) -> None:
        self.ask = ask
        self._known: dict[types.FunctionType, tuple[list[str], list[Any]]] = {}

    def __call__(self, function: Any) -> tuple[list[str], list[Any]]:
        if not isinstance(function, types.MethodType) or not isinstance(function.__func__, types.FunctionType):
            return self.ask(function)
        if function.__func__ not in self._known:
            self._known[function.__func__] = self.ask(function)
        names, defaults = self._known[function.__func__]
        return list(names), list(defaults)


def _remembering_views(ask: Callable[..., PipelineOptions]) -> Callable[..., PipelineOptions]:
    """`PipelineOptions.view_as`, which parses the same flags once for each class of options."""
    known: dict[tuple[type, tuple[str, ...]], PipelineOptions] = {}

    def view_as(self: PipelineOptions, cls: type[PipelineOptions]) -> PipelineOptions:
        if self._flags is None:  # then they are those of the command line
            return ask(self, cls)
        key = (cls, tuple(self._flags))
        if key not in known:
            known[key] = cls(list(self._flags))
        parsed = known[key]
        view = object.__new__(cls)
        view.__dict__.update(_flags=self._flags, _visible_options=copy.deepcopy(parsed._visible_options))
        for name in view._visible_option_list():
            self._all_options.setdefault(name, getattr(view._visible_options, name))
        view.__dict__["_all_options"] = self._all_options
        return view

    return view_as

"""Beam with its memory answers as it does without."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core

from pipeline.orchestration import beam_memo


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Beam's own functions, in place; whatever another test has put there returns afterwards."""
    ask, view = core.get_function_args_defaults, PipelineOptions.view_as
    if isinstance(ask, beam_memo._Signatures):
        ask, view = ask.ask, view.__closure__[0].cell_contents
    monkeypatch.setattr(core, "get_function_args_defaults", ask)
    monkeypatch.setattr(PipelineOptions, "view_as", view)
    return ask, view


class Plain(beam.DoFn):
    def process(self, element, times=2, window=beam.DoFn.WindowParam):  # type: ignore[no-untyped-def]
        yield element * times


class Inherited(Plain):
    pass


class Overridden(Plain):
    def process(self, element, *extra, times=3):  # type: ignore[no-untyped-def]
        yield element * times


class Static(beam.DoFn):
    @staticmethod
    def process(element):  # type: ignore[no-untyped-def]
        yield element


def function(element, by=1):  # type: ignore[no-untyped-def]
    return element + by


@pytest.mark.parametrize(
    "asked",
    [
        Plain().process,
        Inherited().process,
        Overridden().process,  # not what was remembered of the class below it
        Static().process,  # no bound method
        Plain().setup,
        function,
        lambda element, other=(1, 2): element,
        [].append,  # no Python function at all
    ],
)
def test_signatures(unpatched: tuple[Callable[..., Any], Any], asked: Any) -> None:
    ask, _ = unpatched
    assert beam_memo.remember_signatures_and_options()

    def answer(of: Callable[..., Any]) -> Any:
        try:
            return of(asked)
        except (TypeError, ValueError) as error:
            return type(error)

    expected = answer(ask)
    assert [answer(core.get_function_args_defaults) for _ in range(2)] == [expected, expected]


def test_what_a_caller_does_to_an_answer_is_not_remembered(unpatched: object) -> None:
    beam_memo.remember_signatures_and_options()
    names, defaults = core.get_function_args_defaults(Plain().process)
    names.clear()
    defaults.clear()
    assert core.get_function_args_defaults(Plain().process)[0]
    assert core.get_function_args_defaults(Plain().process)[1]


FLAGS = [
    "--runner=FnApiRunner",
    "--experiments=one",
    "--experiments=two",
    "--job_name=a",
    "--streaming",
    "--pickle_library=cloudpickle",
    "--unknown=1",
]
CLASSES = [cls for cls in vars(pipeline_options).values() if isinstance(cls, type) and issubclass(cls, PipelineOptions)]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("flags", [[], FLAGS])
def test_options(unpatched: tuple[Any, Callable[..., Any]], cls: type[PipelineOptions], flags: list[str]) -> None:
    _, view_as = unpatched
    expected = view_as(PipelineOptions(flags), cls)
    beam_memo.remember_signatures_and_options()
    for _ in range(2):
        view = PipelineOptions(flags).view_as(cls)
        assert type(view) is cls
        assert view.get_all_options() == expected.get_all_options()
        assert {name: getattr(view, name) for name in expected._visible_option_list()} == {
            name: getattr(expected, name) for name in expected._visible_option_list()
        }


def test_an_option_that_is_set_is_seen_through_every_view_of_the_same_options(unpatched: object) -> None:
    beam_memo.remember_signatures_and_options()
    options = PipelineOptions(FLAGS)
    options.view_as(pipeline_options.GoogleCloudOptions).job_name = "b"
    assert options.view_as(pipeline_options.GoogleCloudOptions).job_name == "b"
    assert options.get_all_options()["job_name"] == "b"
    assert PipelineOptions(FLAGS).view_as(pipeline_options.GoogleCloudOptions).job_name == "a"


def test_a_list_of_flags_does_not_leak_from_one_set_of_options_into_another(unpatched: object) -> None:
    beam_memo.remember_signatures_and_options()
    first, second = PipelineOptions(FLAGS), PipelineOptions(FLAGS)
    first.view_as(pipeline_options.DebugOptions).add_experiment("three")
    assert first.view_as(pipeline_options.DebugOptions).experiments == ["one", "two", "three"]
    assert second.view_as(pipeline_options.DebugOptions).experiments == ["one", "two"]


def test_it_is_put_in_place_once(unpatched: object) -> None:
    assert beam_memo.remember_signatures_and_options()
    once = core.get_function_args_defaults, PipelineOptions.view_as
    assert beam_memo.remember_signatures_and_options()
    assert (core.get_function_args_defaults, PipelineOptions.view_as) == once


def test_another_release_is_left_alone(
    unpatched: tuple[Callable[..., Any], Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam, "__version__", "2.78.0")
    assert not beam_memo.remember_signatures_and_options()
    assert (core.get_function_args_defaults, PipelineOptions.view_as) == unpatched

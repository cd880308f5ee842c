import dataclasses

import pytest

from pipeline.serving.model_server.flags import Flags, parse, usage


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--port=1", "--model_name=a=b", "--model_base_path="], {"port": 1, "model_name": "a=b"}),
        (["--enable_batching"], {"enable_batching": True}),
        (
            ["--enable_batching=true", "--enable_model_warmup=false"],
            {"enable_batching": True, "enable_model_warmup": False},
        ),
        (["--file_system_poll_wait_seconds=-1"], {"file_system_poll_wait_seconds": -1}),
        (["--per_process_gpu_memory_fraction=0.5"], {"per_process_gpu_memory_fraction": 0.5}),
        (["--port=1", "--port=2"], {"port": 2}),
    ],
)
def test_values(arguments: list[str], expected: dict[str, object]) -> None:
    parsed = parse(arguments)
    assert (parsed.flags, parsed.unknown, parsed.valid) == (Flags(**expected), [], True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "1"],
        ["-port=1"],
        ["---port=1"],
        ["port=1"],
        ["--no_such_flag=1"],
        ["--PORT=1"],
        ["--", "--port=1"],
        ["--port"],
    ],
)
def test_what_is_no_flag(arguments: list[str]) -> None:
    """The value after a blank is none, as upstream."""
    parsed = parse(arguments)
    assert (parsed.flags, parsed.unknown, parsed.valid) == (Flags(), arguments, True)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--port=x", "Couldn't interpret value =x for flag port.\n"),
        ("--port=1_0", "Couldn't interpret value =1_0 for flag port.\n"),
        ("--enable_batching=1", "Couldn't interpret value =1 for flag enable_batching.\n"),
    ],
)
def test_values_that_cannot_be_read(argument: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not parse([argument]).valid
    assert capsys.readouterr().err == said


def test_help_lists_every_flag() -> None:
    assert not parse(["--help"]).valid
    text = usage("it")
    assert all(f"\t--{each.name}=" in text for each in dataclasses.fields(Flags))
    assert '\t--model_name="default"           \tstring\tName of the model.\n' in text
    assert "\t--enable_batching=false          \tbool\tJoins requests into batches.\n" in text


def test_what_has_no_effect() -> None:
    assert parse(["--skip_initialize_tpu", "--port=1"]).flags.without_effect() == ["skip_initialize_tpu"]

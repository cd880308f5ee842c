"""What the resources of Terraform's google provider take and give, as its published Python bindings say."""

import ast
import dataclasses
import functools
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import ROOT

RELEASE = "16.12.1"
"""Of the bindings; the last, made from release 6.50.0 of the provider."""
PROVIDER = "6.50"
_PACKAGE = "cdktf_cdktf_provider_google"
_DOWNLOAD_S = 300
_META = {"connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioners"}
"""What Terraform itself takes."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A resource, or a block in one."""

    required: frozenset[str]
    """What has to be given."""
    blocks: dict[str, str | None]
    """What may be given: the class of a block, None for an attribute."""


@functools.cache
def bindings() -> Path:
    """The wheel; nothing of it is installed. Where it cannot be had, the test is skipped, and says so."""
    directory = ROOT / ".tools"
    directory.mkdir(exist_ok=True)
    wheel = directory / f"{_PACKAGE}-{RELEASE}-py3-none-any.whl"
    with FileLock(directory / ".bindings.lock"):
        if not wheel.exists():
            name = f"{_PACKAGE.replace('_', '-')}=={RELEASE}"
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(directory), name]
            done = subprocess.run(pip, capture_output=True, text=True, timeout=_DOWNLOAD_S, check=False)
            if done.returncode:
                pytest.skip(f"{name} cannot be had: {done.stderr.strip().splitlines()[-1]}")
    return wheel


@functools.cache
def resource(kind: str) -> "Resource":
    """What a type of resource takes and gives: `google_storage_bucket`.

    Raises:
      KeyError: The provider has no such resource.
    """
    return Resource(kind)


class Resource:
    """One type of resource."""

    def __init__(self, kind: str) -> None:
        name = kind.removeprefix("google_")
        with zipfile.ZipFile(bindings()) as wheel:
            text = wheel.read(f"{_PACKAGE}/{name}/__init__.py").decode()
        self._classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
        camel = "".join(map(str.capitalize, name.split("_")))
        self._name = next(each for each in self._classes if each.lower() == camel.lower())

    @property
    def block(self) -> Block:
        """What the resource takes."""
        return self.inner(
            next(each for each in (f"{self._name}AConfig", f"{self._name}Config") if each in self._classes)
        )

    def inner(self, name: str) -> Block:
        """What a block takes."""
        [init] = (
            each for each in self._classes[name].body if isinstance(each, ast.FunctionDef) and each.name == "__init__"
        )
        given = dict(zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True))
        fields = {argument.arg: argument for argument in given if argument.arg not in _META}
        required = frozenset(argument.arg for argument, default in given.items() if default is None)
        return Block(required, {field: self._class(argument) for field, argument in fields.items()})

    def _class(self, argument: ast.arg) -> str | None:
        assert argument.annotation is not None
        words = re.findall(r"(?<![.\w])\w+", ast.unparse(argument.annotation))
        return next((word for word in words if word in self._classes), None)

    @property
    def attributes(self) -> set[str]:
        """What can be read from the resource."""
        return {each.name for each in self._classes[self._name].body if isinstance(each, ast.FunctionDef)}

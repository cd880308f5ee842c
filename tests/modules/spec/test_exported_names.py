"""The public surface of `modules.spec`, and what importing it costs."""

import subprocess
import sys
import types

import modules.spec
from modules.spec import TwinbeamError, errors


def test_the_listed_names_are_those_that_the_package_has() -> None:
    public = {
        name
        for name, value in vars(modules.spec).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(modules.spec.__all__) == public


def test_the_list_is_sorted() -> None:
    """Constants, then classes, then functions, as the linter sorts them."""
    names = modules.spec.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert len(names) == len(set(names))


def test_every_error_is_exported_and_has_an_exit_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TwinbeamError)]
    assert {kind.__name__ for kind in kinds} <= set(modules.spec.__all__)
    codes = {kind.__name__: kind.exit_code for kind in kinds}
    assert sorted(codes.values()) == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]  # 2 is the shell's, for a wrong command line
    documented = [line.split() for line in str(errors.__doc__).splitlines() if line.startswith(("├", "└"))]
    assert {words[1]: int(words[2]) for words in documented} == {k: v for k, v in codes.items() if v != 1}


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ("tensorflow", "tfx", "apache_beam", "numpy", "pyarrow", "keras", "pandas")
    code = f"import sys, modules.spec; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

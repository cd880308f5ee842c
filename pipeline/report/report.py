"""The page that a run leaves behind: one file that loads nothing."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from modules.spec import Declaration
from pipeline.orchestration.local_runner import Outputs
from pipeline.report.page import Page, page
from pipeline.results.record import RunRecord


def write_report(
    record: RunRecord,
    declaration: Declaration,
    outputs: dict[str, Outputs],
    path: Path,
    options: Sequence[str] = (),
) -> None:
    """Replaces the report at `path` at once.

    Args:
      record: Of a run whose model was pushed or withheld.
      declaration: The run's.
      outputs: What each component left behind, reused or not.
      path: The HTML file.
      options: With which another command finds the same declaration.
    """
    written = path.with_suffix(".tmp")
    written.write_text(
        render(page(record, declaration, outputs, options)), encoding="utf-8", errors="xmlcharrefreplace"
    )
    written.replace(path)


def render(content: Page) -> str:
    """The page as HTML; all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(page=content)

"""What a person sees of a run: a table that is redrawn on a terminal, and a plain line a component elsewhere."""

import time

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from pipeline.results.record import ComponentRecord


class TerminalProgress:
    """Draws a line a component: state, name, elapsed time, and the figure that matters."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._waiting: list[str] = []
        self._done: list[ComponentRecord] = []
        self._running: tuple[str, float] | None = None
        self._live: Live | None = None

    def plan(self, components: list[str]) -> None:
        self._waiting = list(components)
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=4)
            self._live.start(refresh=True)

    def start(self, component: str) -> None:
        self._waiting.remove(component)
        self._running = (component, time.monotonic())

    def finish(self, component: ComponentRecord) -> None:
        self._running = None
        self._done.append(component)
        if not self._live:
            state = "reused" if component.cached else "done"
            self._console.print(
                f"{state:7}{component.name:17}{component.seconds:6.1f} s  {component.figure}",
                highlight=False,
                soft_wrap=True,
            )

    def close(self) -> None:
        """Leaves the table as it is now; what was running has failed."""
        if self._live:
            self._live.stop()
            self._live = None

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=7)
        table.add_column(width=17)
        table.add_column(justify="right", width=8)
        table.add_column()
        for component in self._done:
            state = "[dim]reused[/]" if component.cached else "[green]done[/]"
            table.add_row(state, component.name, f"{component.seconds:.1f} s", component.figure)
        if self._running:
            name, started = self._running
            table.add_row("[yellow]running[/]", f"[bold]{name}[/]", f"{time.monotonic() - started:.1f} s", "")
        for name in self._waiting:
            table.add_row("[dim]waiting[/]", f"[dim]{name}[/]", "", "")
        return table

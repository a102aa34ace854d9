"""`treadle fetch`: download a public data set."""

from __future__ import annotations

import sys
import time
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from treadle.cli.options import COMMAND, Json
from treadle.data import PUBLIC
from treadle.data import fetch as download
from treadle.runs import to_json
from treadle.text import aligned

Name = Annotated[str | None, Parameter(help="Name of a public data set; without it, all are listed.")]
INTERVAL = 0.1  # seconds between two updates of the bar


def fetch(name: Name = None, /, *, json: Json = False) -> None:
    """Download a public data set, to be trained on by its name, or list them all.

    The list has the size of each download, whether it is on this machine, its licence and where it is from. Files go
    into TREADLE_DATA_DIR, or where the system keeps caches of programs. What Ctrl-C leaves is gone on from by the next
    call. A mirror with the same folders is given as TREADLE_MIRROR, such as http://localhost:8000/.
    """
    if name is None:
        _list(json)
        return
    try:
        folder = _with_bar(name) if sys.stdout.isatty() and not json else str(download(name))
    except KeyboardInterrupt:
        print(f"what has come is kept: {COMMAND} fetch {name} goes on from there", file=sys.stderr)
        raise
    print(to_json({"name": name, "folder": folder}) if json else f"{name} is in {folder}")


def _with_bar(name: str) -> str:
    left = (TimeRemainingColumn(), TextColumn("left"))
    console = Console(highlight=False, emoji=False)
    with Progress(TextColumn(name), BarColumn(), DownloadColumn(), *left, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)
        shown = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal shown
            if time.monotonic() - shown > INTERVAL or done == total:
                shown = time.monotonic()
                progress.update(task, completed=done, total=total)

        return str(download(name, tell))


def _list(json: bool) -> None:
    here = {name: public.is_here() for name, public in PUBLIC.items()}
    if json:
        known = [
            {"name": name, "bytes": public.size, "here": here[name], "licence": public.licence, "origin": public.origin}
            for name, public in PUBLIC.items()
        ]
        print(to_json(known))
        return
    rows = [("name", "download", "on this machine", "licence", "origin")]
    for name, public in PUBLIC.items():
        size = f"{public.size / 1e6:.0f} MB"
        rows.append((name, size, "yes" if here[name] else "no", public.licence, public.origin))
    print("\n".join(aligned(rows, "<><")))

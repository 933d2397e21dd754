"""What the requests of a route allocate, by memray: a flame graph and a summary.

memray records every allocation of the process. Those of the followed requests are the ones
below the frames in which `perfkit.sampler` runs them.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import memray
from memray.reporters.flamegraph import FlameGraphReporter

from perfkit import sampler
from perfkit.calltree import Naming, sealed
from perfkit.errors import PerfkitError

MOST_BYTES = 8 * 1024 * 1024
"""A recording that is longer takes minutes to read, so it ends at this length."""

TOP = 15
"""How many places the summary lists."""

_FREES = frozenset(
    {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}
)
_MARKS = frozenset(
    {(sampler.__file__, code.co_name) for code in (sampler.follow_request.__code__,
                                                   sampler.Sampler.run_job.__code__)}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Allocations:
    """Bytes and blocks allocated at one stack; what `FlameGraphReporter` reads of a record."""

    stack: tuple[tuple[str, str, int], ...]
    size: int
    n_allocations: int
    thread_name: str = ""
    tid: int = 0

    def stack_trace(self) -> tuple[tuple[str, str, int], ...]:
        """Return function, file and line of each frame, the innermost first."""
        return self.stack


class Recording:
    """Records the allocations of the process from `start` to `stop`; one at a time."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="perfkit-allocations-")
        self._file = Path(self._folder.name) / "memray.bin"
        self._tracker = memray.Tracker(self._file, trace_python_allocators=True)

    def start(self) -> None:
        """Begin.

        Raises:
            PerfkitError: memray records already, and can do so once in a process.
        """
        try:
            self._tracker.__enter__()
        except RuntimeError as error:
            raise PerfkitError(f"memray cannot record: {error}") from error

    @property
    def full(self) -> bool:
        """Whether it is as long as can be read in a reasonable time."""
        return self._file.stat().st_size > MOST_BYTES

    def stop(self) -> None:
        """End; the process allocates as before."""
        self._tracker.__exit__(None, None, None)

    def write(
        self, naming: Naming, title: str, requests: int, folder: Path
    ) -> tuple[list[str], str]:
        """Write flame graph and summary into a folder, and return their names, and the text.

        Raises:
            OSError: The folder cannot be written to.
        """
        with self._folder, memray.FileReader(self._file) as reader:
            found = list(self._of_requests(reader, naming))
            metadata = reader.metadata
            graph = FlameGraphReporter.from_snapshot(
                found,  # type: ignore[arg-type]  # it reads no more than these attributes
                memory_records=list(reader.get_memory_snapshots()),
                native_traces=False,
            )
        page = StringIO()
        graph.render(
            page, metadata, show_memory_leaks=False, merge_threads=True, inverted=False, no_web=True
        )
        (folder / "allocations.html").write_text(sealed(page.getvalue()), "utf-8")
        text = summary(found, title, requests)
        (folder / "allocations.txt").write_text(text, "utf-8")
        return ["allocations.txt", "allocations.html"], text

    def _of_requests(self, reader: memray.FileReader, naming: Naming) -> Iterator[Allocations]:
        """Yield what was allocated below the mark, one for each stack."""
        totals: Counter[int] = Counter()
        blocks: Counter[int] = Counter()
        stacks: dict[int, tuple[tuple[str, str, int], ...] | None] = {}
        for record in reader.get_allocation_records():
            if record.allocator in _FREES:
                continue
            id = record.stack_id
            if id not in stacks:
                stacks[id] = _below_mark(record.stack_trace())
            if stacks[id] is not None:
                totals[id] += record.size
                blocks[id] += record.n_allocations
        for id, size in totals.items():
            stack = stacks[id]
            assert stack is not None
            yield Allocations(naming.places(stack), size, blocks[id])


def _below_mark(
    stack: list[tuple[str, str, int]],
) -> tuple[tuple[str, str, int], ...] | None:
    """Return the frames of a request, the innermost first; None for what no request did."""
    for index, (function, file, _) in enumerate(stack):
        if (file, function.rpartition(".")[2]) in _MARKS:
            return tuple(stack[:index])
    return None


def summary(found: list[Allocations], title: str, requests: int) -> str:
    """Return what was allocated in all, for each request, and by the lines that did most."""
    size = sum(each.size for each in found)
    blocks = sum(each.n_allocations for each in found)
    lines = [
        title,
        f"{requests} requests allocated {size:,} bytes in {blocks:,} blocks"
        + (f": {size / requests:,.0f} bytes in {blocks / requests:,.0f} each" if requests else ""),
        "",
        f"{'bytes':>15} {'blocks':>9}  line",
    ]
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for each in found:
        function, file, line = each.stack[0]
        place = f"{file}:{line} {function}" if line else f"{file}: {function}"
        sizes[place] += each.size
        counts[place] += each.n_allocations
    lines += [
        f"{total:>15,} {counts[place]:>9,}  {place}" for place, total in sizes.most_common(TOP)
    ]
    return "\n".join(lines) + "\n"

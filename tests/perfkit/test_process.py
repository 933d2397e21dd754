"""The resident memory of this process."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from perfkit import process


def test_resident_memory_is_that_of_this_process() -> None:
    assert process.resident_bytes() == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)


def test_a_forked_child_tells_of_itself() -> None:
    # In a process of its own, for forking one that has threads is an error.
    code = (
        "import os\n"
        "from perfkit.process import resident_bytes\n"
        "resident_bytes()\n"
        "if os.fork() == 0:\n"
        "    before = resident_bytes()\n"
        "    held = bytearray(b'x') * 2**26\n"
        "    print(resident_bytes() - before > 2**25, flush=True)\n"
        "else:\n"
        "    os.wait()\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "True"


def test_psutil_is_asked_for_by_the_name_of_its_extra() -> None:
    code = (
        "import sys\n"
        "sys.modules['psutil'] = None\n"
        "from perfkit.errors import MissingExtraError\n"
        "try:\n"
        "    import perfkit.process\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "pip install 'measured-rest[metrics]'" in done.stdout

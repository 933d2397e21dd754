"""Benchmarks of the hot paths: ``make bench`` times them, ``make gate`` compares two versions.

A benchmark checks once that what it times answers correctly, then hands one call to
``benchmark``. The gate knows no other fixture, keeps that call, and times it after the benchmark
has returned: so it must not need anything that is closed by then.
"""

import sys
from pathlib import Path

# The gate offers the helpers of this folder by their plain names; here pytest does not.
sys.path.append(str(Path(__file__).parent))

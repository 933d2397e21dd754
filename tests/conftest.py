"""What is collected: the tests of the performance page only where the page stands."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "shared" / "guides" / "restmachine-performance.md"

collect_ignore = [] if PAGE.exists() else ["page"]

"""What perfkit tells a user who can do something about it.

PerfkitError              one line: what is wrong and what to do; exit status 1
├── MissingExtraError     an optional package is not installed
├── NoLimitError          a pool has no limit, so there is nothing to read
└── UnknownVersionError   a library is not built as the versions that are known
"""

from __future__ import annotations


class PerfkitError(Exception):
    """A mistake or a missing part that the user can mend; its text says how."""


class MissingExtraError(PerfkitError):
    """A feature needs a package which an extra of this distribution brings."""

    def __init__(self, feature: str, module: str, extra: str) -> None:
        super().__init__(
            f'{feature} needs the package "{module}", which is not installed: '
            f"pip install 'measured-rest[{extra}]'"
        )


class UnknownVersionError(PerfkitError):
    """A library lacks what its known versions have, so it cannot be watched."""


class NoLimitError(PerfkitError):
    """A pool lets everybody have a connection at once, so it has nothing to tell."""

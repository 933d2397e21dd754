"""Performance testing and profiling for HTTP APIs."""

from perfkit.instrument import instrument

__all__ = ["instrument"]

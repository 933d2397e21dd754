"""Performance testing and profiling for HTTP APIs."""

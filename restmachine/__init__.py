"""A REST framework: HTTP decided by a diagram, facts supplied by injection."""

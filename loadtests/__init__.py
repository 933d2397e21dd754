"""An application under test, its data, and the scenarios that load it."""

"""The built-in renderers, and the class from which applications derive their own."""

from restmachine.representations import (
    ContentRenderer,
    HTMLRenderer,
    JSONRenderer,
    PlainTextRenderer,
)

__all__ = ["ContentRenderer", "HTMLRenderer", "JSONRenderer", "PlainTextRenderer"]

"""An application that cannot be made."""


def small():
    raise RuntimeError("no application today")

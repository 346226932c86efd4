"""What the recorder's parts say to one another."""

from __future__ import annotations


class NotSaid(Exception):
    """A call that no Case can say; the text says what of it. Such calls are counted and named, never guessed."""

"""What the help of every command has in common."""

from __future__ import annotations


def examples(*commands: str) -> str:
    """Return the examples at the end of a command's help; the mark keeps click from re-wrapping them."""
    return "\b\n" + "\n".join(["Example:", *(f"  {command}" for command in commands)])

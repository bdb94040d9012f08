"""What a channel knows of a delivery that may have reached it already.

Plain values between the searches of the channels and the sender, which alone decides what they mean.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Trace(StrEnum):
    """What a channel knows of one delivery id."""

    PRESENT = "present"
    """It has the delivery."""
    ABSENT = "absent"
    """It certainly has not."""
    MERGED = "merged"
    """It makes one of all that carry the same key: a repeat is no second message to anybody."""
    UNKNOWN = "unknown"
    """It cannot be asked, or did not say."""


class Found(Struct, frozen=True, kw_only=True):
    """The trace, where the copy is (a receipt), and a redactable line for people."""

    trace: Trace
    receipt: str = ""
    detail: str = ""

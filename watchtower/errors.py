"""Errors by whose fault they are; their texts are meant for people.

Outcomes of probes and deliveries are values, not errors.
"""

from __future__ import annotations


class WatchtowerError(Exception):
    """Base of everything that watchtower raises on purpose; its text is meant for people."""


class ConfigError(WatchtowerError):
    """The configuration is wrong. The text names every place, with what to do."""


class ClusterError(WatchtowerError):
    """The cluster cannot be what it should be: a foreign data directory, a port in use, a library changed."""


class DeliveryError(WatchtowerError):
    """A channel cannot be used as configured."""


class HistoryError(WatchtowerError):
    """History cannot answer just now; the peer goes on without it."""

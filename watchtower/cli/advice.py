"""What `watchtower check` says of the peers of a good file: how many may fail, and how soon another alerts.

Sentences only; nothing here is a mistake, so nothing changes the exit code.
"""

from __future__ import annotations

from watchtower.core.settings import LAN, ClusterSettings, Timing


def advice(cluster: ClusterSettings) -> list[str]:
    """Sentences about the peers of this cluster; none for a lone peer."""
    count = len(cluster.peers)
    if count == 1:
        return []
    return [*_numbers(count), *_witnesses(cluster), _takeover(cluster.timing)]


def _numbers(count: int) -> list[str]:
    if count % 2:
        return []
    text = f"{count} peers tolerate {_spare(count)} failed ones, no more than {count - 1} do"
    return [f"{text}, and {count + 1} would tolerate {_spare(count + 1)}: an odd number is better."]


def _witnesses(cluster: ClusterSettings) -> list[str]:
    """A service is judged by a majority of the peers that are no witness, however well Raft is."""
    voters, count = len(cluster.voter_names), len(cluster.peers)
    if voters == count or _spare(voters) >= _spare(count):
        return []
    text = f"{voters} peers judge services ({', '.join(sorted(cluster.witness_names))} only votes in Raft)"
    away = "none of them" if _spare(voters) == 0 else f"{_spare(voters)} of them"
    return [f"{text}: {voters // 2 + 1} must agree, so {away} may be away; Raft would bear {_spare(count)}."]


def _takeover(timing: Timing) -> str:
    takes_s = takeover_s(timing)
    if timing == LAN:
        return f"When the peer that alerts dies, another alerts within about {takes_s:g} s."
    return (
        f"When the peer that alerts dies, another alerts within about {takes_s:g} s, with profile lan within "
        f"{takeover_s(LAN):g} s. How soon a service is found down hardly changes by the profile."
    )


def takeover_s(timing: Timing) -> float:
    """The lease runs out, with its margin, and the next peer is patient once more before it claims."""
    return timing.lease_s + timing.margin_s + timing.patience_s


def _spare(count: int) -> int:
    return (count - 1) // 2

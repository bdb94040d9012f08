"""What crosses to a worker: every kind of target with every secret, whole, and nothing it does not need."""

from __future__ import annotations

import types
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.core_support import service, settings
from support.looking import condition
from support.watching import UP, result

from watchtower.core.secret import Secret
from watchtower.core.settings import HttpSettings, ProbeSettings, Settings, Token
from watchtower.core.stats import ProbeStats
from watchtower.core.targets import Target, TcpTarget
from watchtower.probes.working.messages import (
    FRAME_BYTES_MAX,
    Batch,
    Begin,
    Frames,
    LookAt,
    Reload,
    Said,
    batch,
    frame,
    order,
    share_of,
)

PLAIN: dict[type, Any] = {
    str: "text",
    int: 7,
    float: 2.5,
    bool: True,
    Secret: Secret("hunter2"),
    types.NoneType: None,
}


def filled(wanted: Any) -> Any:
    """A value of this type that holds as much as it can."""
    if wanted in PLAIN:
        return PLAIN[wanted]
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple:
        return tuple(filled(one) for one in inner if one is not ...)
    if origin in (typing.Union, types.UnionType):
        return filled(inner[0])
    assert issubclass(wanted, msgspec.Struct), wanted
    hints = typing.get_type_hints(wanted)
    return wanted(**{name: filled(hints[name]) for name in wanted.__struct_fields__})


def crossed(sent: Settings) -> Settings:
    """The settings as a worker has them."""
    (body,) = Frames().feed(frame(Begin(sent)))
    said = order(body)
    assert isinstance(said, Begin)
    return said.settings


@pytest.mark.parametrize("kind", typing.get_args(Target), ids=lambda kind: kind.__struct_config__.tag)
def test_every_kind_of_target_crosses_whole(kind: type[Any]) -> None:
    """With all that it may hold; secrets are secrets again and show themselves to nobody."""
    looked_at = service("web", filled(kind), expect=(condition("status == 200", "status", "==", 200.0),))
    sent = settings(looked_at)
    got = crossed(sent)
    assert got == sent
    assert "hunter2" not in repr(got)


@pytest.mark.parametrize("value", ["text", 1.5, True, ("a", 2.0)])
def test_every_value_of_a_condition_crosses(value: Any) -> None:
    """Text, numbers, flags and lists stay what they are."""
    sent = settings(service("web", warn=(condition("it", "body", "==", value),)))
    (clause,) = crossed(sent).services["web"].warn[0].clauses
    assert clause.value == value
    assert type(clause.value) is type(value)


def test_a_worker_is_told_no_secret_that_is_not_for_looking() -> None:
    """Channels, tokens, the secret of the cluster and services of others stay in the peer."""
    whole = settings(
        service("mine", TcpTarget(host="192.0.2.1", port=1, send=Secret("for-looking"))),
        service("other", TcpTarget(host="192.0.2.1", port=1, send=Secret("of-another"))),
        channels={"chat": "json://hunter2"},
    )
    whole = replace(
        whole,
        http=HttpSettings(tokens=(Token(name="t", scope="read", token=Secret("hunter2")),)),
        cluster=replace(whole.cluster, secrets=(Secret("hunter2"),)),
    )
    share = share_of(whole, {"mine": whole.services["mine"]}, ProbeSettings(workers=0))
    sent = frame(Reload(share))
    assert b"for-looking" in sent
    assert b"hunter2" not in sent
    assert b"of-another" not in sent
    assert crossed(share) == share


def test_a_batch_crosses_whole() -> None:
    """Results, counters, log lines."""
    sent = Batch(
        sent_boot=12.5,
        results=(replace(result("web", UP), facts={"status": 200.0, "ip": "192.0.2.1"}),),
        stats=ProbeStats(started_total=3),
        trouble="none",
        said=(Said(30, "watchtower", "text"),),
    )
    (body,) = Frames().feed(frame(sent))
    assert batch(body) == sent


@given(st.lists(st.lists(st.text(max_size=5), max_size=5), max_size=8), st.lists(st.integers(1, 40)))
def test_messages_are_cut_right_wherever_reads_end(orders: list[list[str]], cuts: list[int]) -> None:
    """However the stream is chopped, the same messages come out."""
    sent = [LookAt(tuple(names), 1.0) for names in orders]
    stream, got, frames = b"".join(frame(one) for one in sent), [], Frames()
    for cut in (*cuts, len(stream) + 1):
        got += frames.feed(stream[:cut])
        stream = stream[cut:]
    assert [order(body) for body in got] == sent


def test_a_length_that_nobody_sends_is_refused() -> None:
    """No memory is set aside for nonsense."""
    with pytest.raises(ValueError, match="a message of"):
        Frames().feed((FRAME_BYTES_MAX + 1).to_bytes(4))

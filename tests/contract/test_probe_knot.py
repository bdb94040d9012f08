"""DNS looks at a real name server, knotd: every kind of record, and every way it says no or nothing."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.looking import condition, look
from support.real_servers import knotd, stopped

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import DnsTarget

ZONE = """
@ SOA ns.example. admin.example. 7 3600 600 86400 60
@ NS ns
@ CAA 0 issue "ca.example"
@ MX 10 mail
ns A 127.0.0.1
www A 192.0.2.10
www A 192.0.2.11
www AAAA 2001:db8::10
text TXT "v=1 " "two"
alias CNAME www
away CNAME www.elsewhere.test.
_smtp._tcp SRV 1 2 25 mail
10.2.0.192.in-addr PTR www
*.wild A 192.0.2.99
empty.below A 192.0.2.1
long 5 A 192.0.2.12
"""
BIG = "\n".join(f'big TXT "{number:03} {"x" * 90}"' for number in range(40))
SIGNED = """
@ SOA ns.signed. admin.signed. 7 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
www A 192.0.2.10
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A knotd with a zone, a big answer in it, a signed zone and one that cannot be loaded."""
    zones = {"example": ZONE + BIG, "signed": SIGNED, "missing": ""}
    with knotd(tmp_path_factory.mktemp("knot"), zones) as found:
        yield found


def see(server: tuple[str, object], name: str, kind: str = "A", **fields: Any) -> Result:
    """One look at a name."""
    target = DnsTarget(name=name, type=kind, servers=(server[0],))
    return asyncio.run(look(target, **{"timeout_s": 3.0, **fields}))


@pytest.mark.parametrize(
    ("name", "kind", "answers"),
    [
        ("www.example", "A", "2 answers: 192.0.2.10, 192.0.2.11"),
        ("WWW.Example.", "AAAA", "1 answer: 2001:db8::10"),
        ("alias.example", "A", "2 answers: 192.0.2.10, 192.0.2.11"),
        ("alias.example", "CNAME", "1 answer: www.example"),
        ("any.wild.example", "A", "1 answer: 192.0.2.99"),
        ("example", "MX", "1 answer: 10 mail.example"),
        ("example", "NS", "1 answer: ns.example"),
        ("example", "SOA", "1 answer: ns.example. admin.example. 7 3600 600 86400 60"),
        ("example", "CAA", '1 answer: 0 issue "ca.example"'),
        ("text.example", "TXT", "1 answer: v=1 two"),
        ("_smtp._tcp.example", "SRV", "1 answer: 1 2 25 mail.example"),
        ("10.2.0.192.in-addr.example", "PTR", "1 answer: www.example"),
        ("www.signed", "A", "1 answer: 192.0.2.10"),
    ],
)
def test_every_kind_of_record(
    server: tuple[str, subprocess.Popen[bytes]], name: str, kind: str, answers: str
) -> None:
    """Answers are shown as people write them, through aliases and wildcards, without the signatures."""
    result = see(server, name, kind)
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
    count, _, shown = result.text.rpartition(" in ")[0].partition(": ")
    wanted_count, _, wanted = answers.partition(": ")
    assert (count, sorted(shown.split(", "))) == (wanted_count, sorted(wanted.split(", ")))
    assert result.facts["ttl"] == 60


@pytest.mark.parametrize(
    ("name", "kind", "code", "text"),
    [
        ("nobody.example", "A", "NXDOMAIN", "name does not exist (NXDOMAIN)"),
        ("www.example", "MX", "NOERROR", "the name exists, but has no MX record"),
        ("below.example", "A", "NOERROR", "the name exists, but has no A record"),
        ("away.example", "A", "NOERROR", "the name exists, but has no A record"),
        ("www.missing", "A", "SERVFAIL", "SERVFAIL from 127.0.0.1"),
        ("www.foreign.test", "A", "REFUSED", "REFUSED from 127.0.0.1"),
    ],
)
def test_every_no(
    server: tuple[str, subprocess.Popen[bytes]], name: str, kind: str, code: str, text: str
) -> None:
    """No name, no data, a zone that could not be loaded, one of somebody else; each can be expected."""
    result = see(server, name, kind)
    assert (result.opinion, result.kind, result.text) == (Opinion.DOWN, Kind.DNS, text)
    wanted = condition(f"dns.rcode == {code}", "dns.rcode", "==", code)
    assert see(server, name, kind, expect=(wanted,)).opinion is Opinion.UP


def test_what_is_found_is_judged(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    """Answers and TTL with their actual values."""
    other = condition("answers == 192.0.2.1", "answers", "==", ("192.0.2.1",))
    unmet = see(server, "long.example", expect=(other,))
    assert (unmet.kind, unmet.text) == (Kind.CONDITION, "answers == 192.0.2.1: was 192.0.2.12")
    ttl = condition("ttl >= 60", "ttl", ">=", 60.0)
    assert see(server, "long.example", warn=(ttl,)).text == "ttl >= 60: was 5"


def test_a_big_answer_comes_over_tcp(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    """What does not fit into a datagram is truncated by the server and fetched whole."""
    result = see(server, "big.example", "TXT")
    assert (result.opinion, result.facts["answers"]) == (Opinion.UP, 40.0), result.text


def test_a_server_that_stands_still_or_is_gone(tmp_path: Path) -> None:
    """Silence is a timeout that names the server, a closed port is refused at once."""
    with knotd(tmp_path, {"example": ZONE}) as (address, process):
        assert see((address, process), "www.example").opinion is Opinion.UP
        with stopped(process):
            silent = see((address, process), "www.example", timeout_s=0.6)
        assert (silent.opinion, silent.kind) == (Opinion.DOWN, Kind.TIMEOUT)
        assert re.fullmatch(r"timeout after 0\.[56] s, no answer from 127\.0\.0\.1", silent.text)
    gone = see((address, process), "www.example")
    assert (gone.kind, gone.text) == (Kind.REFUSED, f"connection refused by {address}")

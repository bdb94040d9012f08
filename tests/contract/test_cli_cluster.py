"""The verbs that act on a cluster: refusals, tokens and what is asked, against the real web shell.

Behind it is a made-up cluster; tests/cluster does the same to real processes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.cli_support import asked, watchtower
from support.web_support import ADMIN, READ, world


def test_who_leads_is_told_and_nobody_is_an_error() -> None:
    """For scripts: a name and 0, or why not and 1."""
    made = world()
    there, as_json = asked(
        made,
        lambda url: ("cluster", "leader", "--url", url),
        lambda url: ("cluster", "leader", "--url", url, "--json"),
    )
    assert (there.returncode, there.stdout) == (0, "b (term 12)\n")
    assert json.loads(as_json.stdout) == {"leader": "b", "term": 12, "asked": "a"}
    made.lose_quorum()
    (nobody,) = asked(made, lambda url: ("cluster", "leader", "--url", url))
    assert (nobody.returncode, nobody.stdout.startswith("none")) == (1, True)


def test_members_shows_what_is_not_as_it_should_be() -> None:
    """A member that no file names, a quarantine, a full disk: each in a line of its own."""
    made = world()
    made.turn(
        state=replace(made.snap.state, members=("a", "b", "z")),
        mismatch="the file names a, b, c, the cluster has a, b, z",
        cluster=replace(made.snap.cluster, quarantine="its data folder is empty", trouble="no space left"),
    )
    (done,) = asked(made, lambda url: ("cluster", "members", "--url", url))
    assert done.returncode == 0
    for words in (
        "Members that the file of a does not name: z.",
        "a: the file names a, b, c, the cluster has a, b, z",
        "a: must not vote: its data folder is empty",
        "a: disk: no space left",
    ):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("drain",), "say --for DURATION"),
        (("drain", "--for", "1m", "--undo"), "say --for DURATION"),
        (
            ("drain", "--for", "1m", "--url", "http://127.0.0.1:1", "--url", "http://127.0.0.1:2"),
            "which peer",
        ),
    ],
)
def test_a_call_that_is_not_clear_asks_nobody(arguments: tuple[str, ...], words: str) -> None:
    """Exit code 2, and what to say instead."""
    done = watchtower(*arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_acting_needs_the_right_token(tmp_path: Path) -> None:
    """The peer's own words say which; with it, it is done."""
    made = world()
    file = str(tmp_path / "kept")
    without, low, good, spoilt = asked(
        made,
        lambda url: ("drain", "--for", "10m", "--url", url),
        lambda url: ("drain", "--for", "10m", "--url", url, "--token", READ),
        lambda url: ("drain", "--for", "10m", "--url", url, "--token", ADMIN),
        lambda url: ("cluster", "backup", file, "--url", url, "--token", ADMIN),
    )
    assert (without.returncode, low.returncode, good.returncode) == (1, 1, 0)
    assert "HTTP 401 this needs a token of scope admin (http.tokens in the config)" in without.stderr
    assert "yours is of a lower scope" in low.stderr
    assert made.acts[0] == ("drain", 600.0)
    assert (spoilt.returncode, "no watchtower backup" in spoilt.stderr) == (1, True)
    assert not (tmp_path / "kept").exists()


def test_what_a_peer_refuses_is_told_in_its_words() -> None:
    """And is not tried at another one."""
    made = world()
    made.act_says = "no other peer is fit to watch and alert meanwhile"
    (done,) = asked(made, lambda url: ("drain", "--for", "10m", "--url", url, "--token", ADMIN))
    assert done.returncode == 1
    assert done.stderr == "not drained: HTTP 409 no other peer is fit to watch and alert meanwhile\n"
    assert len(made.acts) == 1


def test_a_resize_with_nothing_to_do_says_so() -> None:
    """Repeating it is safe; a cluster that is not founded has nothing to resize."""
    made = world()
    (done,) = asked(made, lambda url: ("cluster", "resize", "--url", url))
    assert (done.returncode, done.stdout) == (0, "The members are a, b, c, as in the file.\n")
    made.turn(state=replace(made.snap.state, members=(), cluster=""))
    (done,) = asked(made, lambda url: ("cluster", "resize", "--url", url))
    assert (done.returncode, "not founded yet" in done.stderr) == (1, True)


@pytest.mark.parametrize("verb", [("bootstrap",), ("rescue",), ("restore", "no-such-file")])
def test_a_folder_is_changed_by_a_named_peer_only(tmp_path: Path, verb: tuple[str, ...]) -> None:
    """Of three peers in the file none is taken by chance."""
    secret = "0123456789abcdef0123456789abcdef"
    peers = "".join(
        f"    {name}: {{raft: '127.0.0.1:770{n}', http: 'http://127.0.0.1:808{n}'}}\n"
        for n, name in enumerate("abc")
    )
    file = tmp_path / "watchtower.yaml"
    file.write_text(f"cluster:\n  name: x\n  secret: {secret}\n  peers:\n{peers}services: {{}}\n")
    done = watchtower("cluster", *verb, "--yes", "--config", str(file), cwd=tmp_path)
    assert done.returncode == 1
    assert "--peer NAME" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["watchtower.yaml"]

"""Programs as looks: real ones, which end in every way, hang, flood, multiply and leave children behind."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace
from support.core_support import service
from support.looking import condition, look

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import ExecTarget
from watchtower.probes.prober import Prober
from watchtower.probes.programs.children import HEARD_MAX, MARK, end_orphans

ROOT: Final = Path(__file__).parents[2]
Write = Callable[..., ExecTarget]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    """Writes a program and gives the target that runs it."""

    def write(text: str, *arguments: str, shebang: str = "/bin/sh", **env: str) -> ExecTarget:
        path = tmp_path / f"plugin-{len(list(tmp_path.iterdir()))}"
        path.write_text(f"#!{shebang}\n{text}\n")
        path.chmod(0o755)
        return ExecTarget(
            program=str(path),
            arguments=tuple(map(Secret, arguments)),
            env=tuple((name, Secret(value)) for name, value in env.items()),
        )

    return write


def run(target: ExecTarget, **fields: Any) -> Result:
    """One look, of which nothing is left afterwards."""
    result = asyncio.run(look(target, **fields))
    assert [child for child in _children() if child[1] == "Z"] == [], "a zombie is left"
    return result


def _children() -> list[tuple[int, str]]:
    """The children of this process, each with its state."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid():
            found.append((int(stat.parent.name), state))
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("code", "opinion", "kind", "text"),
    [
        (0, Opinion.UP, Kind.OK, "DISK OK"),
        (1, Opinion.DEGRADED, Kind.STATUS, "DISK OK"),
        (2, Opinion.DOWN, Kind.STATUS, "DISK OK"),
        (3, Opinion.UNKNOWN, Kind.INCONCLUSIVE, "DISK OK"),
        (4, Opinion.UNKNOWN, Kind.INCONCLUSIVE, "exit code 4, which means nothing: DISK OK"),
        (126, Opinion.UNKNOWN, Kind.INCONCLUSIVE, "exit code 126, which means nothing (a shell's word"),
        (127, Opinion.UNKNOWN, Kind.INCONCLUSIVE, "exit code 127, which means nothing (a shell's word"),
        (255, Opinion.UNKNOWN, Kind.INCONCLUSIVE, "exit code 255, which means nothing: DISK OK"),
    ],
)
def test_each_exit_code(script: Write, code: int, opinion: Opinion, kind: Kind, text: str) -> None:
    """Zero to three are the convention of plugins; any other code tells nothing about the service."""
    result = run(script(f"echo 'DISK OK | /=2643MB;5948;5958;0;5968'\nexit {code}"))
    assert (result.opinion, result.kind) == (opinion, kind)
    assert result.text.startswith(text)
    if code < 4:
        assert result.text == text
    assert result.facts == {"exit": code, "perf./": 2643.0}
    assert set(result.phases_ms) == {"run"}


def test_without_output_the_complaint_is_the_text(script: Write) -> None:
    """A script that dies says why on its error output; one that says nothing is told by its code."""
    assert run(script("echo 'no such database' >&2\nexit 2")).text == "no such database"
    assert run(script("exit 2")).text == "exit code 2, no output"
    assert run(script("exit 0")).text == "exit code 0, no output"


def test_a_condition_on_exit_replaces_the_convention(script: Write) -> None:
    """`exit in 0 7` says what is good; 1 is then down like everything else."""
    target = script("exit $1", "7")
    fine = condition("exit in 0 7", "exit", "in", (0.0, 7.0))
    assert run(target, expect=(fine,)).opinion is Opinion.UP
    other = run(script("exit 1"), expect=(fine,))
    assert (other.opinion, other.text) == (Opinion.DOWN, "exit in 0 7: was 1")


def test_conditions_join_the_convention(script: Write) -> None:
    """A condition on something else takes nothing from the code: the worse of the two counts."""
    few = condition("perf.load1 < 5", "perf.load1", "<", 5.0)
    say = "echo 'LOAD | load1=%s'\nexit %d"
    for load, code, opinion in (
        ("1", 0, Opinion.UP),
        ("1", 1, Opinion.DEGRADED),
        ("1", 2, Opinion.DOWN),
        ("1", 3, Opinion.UNKNOWN),
        ("9", 0, Opinion.DOWN),
        ("9", 1, Opinion.DOWN),
        ("U", 0, Opinion.DOWN),
        ("9", 3, Opinion.UNKNOWN),
    ):
        result = run(script(say % (load, code)), expect=(few,))
        assert result.opinion is opinion, (load, code, result.text)
    assert run(script(say % ("9", 0)), expect=(few,)).text == "perf.load1 < 5: was 9"
    assert run(script(say % ("9", 0)), warn=(few,)).opinion is Opinion.DEGRADED


def test_killed_by_a_signal_is_unknown(script: Write) -> None:
    """A plugin that crashes is our trouble, not the service's."""
    killed = run(script("echo so far\nkill -KILL $$"))
    assert (killed.opinion, killed.text) == (Opinion.UNKNOWN, "killed by SIGKILL: so far")
    assert run(script("kill -SEGV $$")).text == "killed by SIGSEGV"


def test_mistakes_of_the_setup_are_unknown_and_told_apart(tmp_path: Path) -> None:
    """Missing, not executable, no program at all, no interpreter: each says what it is."""
    plain = tmp_path / "plain"
    plain.write_text("echo\n")
    no_interpreter = tmp_path / "no-interpreter"
    no_interpreter.write_text("#!/nowhere/at/all\n")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x00\x01\x02")
    for path in (no_interpreter, garbage):
        path.chmod(0o755)
    for program, says in (
        (tmp_path / "missing", "there is no such program"),
        (plain / "below", "a part of its path is no folder"),
        (plain, "not executable for this peer's user"),
        (no_interpreter, "not the interpreter"),
        (garbage, "neither a binary of this machine nor a script"),
        (tmp_path, "not executable for this peer's user"),
    ):
        result = run(ExecTarget(program=str(program)))
        assert (result.opinion, result.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE), program
        assert says in result.text, result.text
        assert str(program)[:20] in result.text


def test_a_program_that_hangs_is_down_and_dies_with_its_group(script: Write, tmp_path: Path) -> None:
    """At the deadline the look is back; the whole group gets SIGTERM, and SIGKILL if that does not help."""
    pids = tmp_path / "pids"
    target = script(f"trap '' TERM\nsleep 300 & echo $! > {pids}\necho $$ >> {pids}\nwait; sleep 300")
    begun = time.monotonic()
    result = run(target, timeout_s=1.0)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TIMEOUT)
    assert result.text == "timeout after 1.0 s while running the program"
    assert time.monotonic() - begun < 1.0 + 2.0
    _until(lambda: not any(_is_alive(int(pid)) for pid in pids.read_text().split()))


def test_one_that_ignores_sigterm_is_killed_while_the_prober_goes_on(script: Write, tmp_path: Path) -> None:
    """A second after the deadline nothing of the group is left, and its place is free again."""
    pids = tmp_path / "pids"
    stubborn = script(f"trap '' TERM\nsleep 300 & echo $! $$ > {pids}\nwait; sleep 300")

    async def run() -> tuple[int, bool]:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        await prober.probe(service("web", stubborn), clock.now().boot + 0.5)
        left = [int(pid) for pid in pids.read_text().split()]
        begun, was_alive = time.monotonic(), any(map(_is_alive, left))
        while any(map(_is_alive, left)) and time.monotonic() - begun < 5:
            await prober.probe(service("web", ExecTarget(program="/bin/true")), clock.now().boot + 5)
        alive = sum(map(_is_alive, left))
        await prober.close()
        return alive, was_alive

    assert asyncio.run(run()) == (0, True)


def test_it_is_asked_to_end_before_it_is_killed(script: Write, tmp_path: Path) -> None:
    """A program that tidies up on SIGTERM has a second for it, while the look is long over."""
    tidy = tmp_path / "tidy"

    async def two_looks() -> float:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        hanging = script(f"trap 'sleep 0.2; echo done > {tidy}; exit 0' TERM\nwhile :; do sleep 0.05; done")
        begun = time.monotonic()
        await prober.probe(service("web", hanging), clock.now().boot + 0.5)
        took_s = time.monotonic() - begun
        while not tidy.exists():
            assert time.monotonic() - begun < 5
            await prober.probe(service("web", script("exit 0")), clock.now().boot + 5)
        await prober.close()
        return took_s

    assert asyncio.run(two_looks()) < 0.75


def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_look(script: Write, tmp_path: Path) -> None:
    """The program's end is the end, whoever holds its output; what is left in its group is killed."""
    pid = tmp_path / "pid"
    begun = time.monotonic()
    result = run(script(f"sleep 300 & echo $! > {pid}\necho fine\nexit 0"), timeout_s=10.0)
    assert (result.opinion, result.text) == (Opinion.UP, "fine")
    assert time.monotonic() - begun < 3
    _until(lambda: not _is_alive(int(pid.read_text())))


def test_a_daemon_that_left_the_session_does_not_hold_the_look(script: Write, tmp_path: Path) -> None:
    """A master connection of ssh, say: it lives on by its own wish, and is heard no more."""
    pid = tmp_path / "pid"
    result = run(
        script(
            f"setsid sh -c 'echo $$ > {pid}; exec sleep 30' &\n"
            f"while [ ! -s {pid} ]; do sleep 0.01; done\necho fine"
        ),
        timeout_s=10.0,
    )
    daemon = int(pid.read_text())
    assert (result.opinion, result.text) == (Opinion.UP, "fine")
    assert _is_alive(daemon)
    os.kill(daemon, 9)


def test_one_that_closes_its_output_and_sleeps_is_waited_for(script: Write) -> None:
    """The end of the output is not the end of the program."""
    late = run(script("echo early\nexec >&- 2>&-\nsleep 0.5\nexit 2"))
    assert (late.opinion, late.text) == (Opinion.DOWN, "early")
    assert late.duration_ms > 400
    hangs = run(script("exec >&- 2>&-\nsleep 300"), timeout_s=0.5)
    assert hangs.kind is Kind.TIMEOUT


def test_a_flood_is_drained_and_counted(script: Write) -> None:
    """100 MB on both outputs: the first 8 KiB are kept, and the loop never waits long for it."""
    flood = "echo fine\nhead -c 100000000 /dev/zero | tr '\\0' x\nhead -c 1000000 /dev/zero >&2"

    async def watched() -> tuple[Result, float]:
        worst_s, ticked = 0.0, asyncio.get_running_loop().time()

        def tick() -> None:
            nonlocal worst_s, ticked
            now = asyncio.get_running_loop().time()
            worst_s, ticked = max(worst_s, now - ticked - 0.01), now
            asyncio.get_running_loop().call_later(0.01, tick)

        tick()
        return await look(script(flood), timeout_s=30.0), worst_s

    result, worst_s = asyncio.run(watched())
    assert (result.opinion, result.text) == (Opinion.UP, "fine")
    assert result.facts["cut_bytes"] == 101_000_005 - 2 * HEARD_MAX
    assert worst_s < 0.5


def test_an_endless_flood_is_killed(script: Write) -> None:
    """Reading for ever would cost a core: beyond the bound the program is ended, and that is our trouble."""
    result = run(script("yes"), timeout_s=50.0)
    assert result.opinion is Opinion.UNKNOWN
    assert result.text.startswith("killed after 268 MB of output: y")


def test_binary_output_is_made_fit_for_people(script: Write) -> None:
    """Control characters, broken UTF-8 and terminal tricks do not reach anybody."""
    result = run(script(r"printf 'a\033[31mb\000c\377d\xe2\x80\xaee | x=1\n'; exit 1"))
    assert result.text.isprintable()
    assert result.text.startswith("a[31mbc")
    assert result.facts["perf.x"] == 1
    noise = run(script("head -c 20000 /dev/urandom; exit 0"))
    assert noise.opinion is Opinion.UP
    assert noise.text.isprintable()


def test_nothing_of_the_peer_is_inherited(script: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of the environment, open files and ignored signals stay here; what `env` says is there."""
    monkeypatch.setenv("WATCHTOWER_SECRET", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LANG", "C.UTF-8")
    show = script(
        "import json, os, signal, sys\n"
        "fds = [os.path.realpath(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')]\n"
        "here = os.getpid() == os.getpgid(0) == os.getsid(0)\n"
        "print('said', sys.stdin.read() == '', signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN, here)\n"
        "open(sys.argv[1], 'w').write(json.dumps([sorted(os.environ), fds]))",
        str(tmp := Path(script("").program).with_name("seen")),
        shebang=f"{sys.executable} -I",
        GREETING="hello world",
    )
    with socket.socket() as ours:
        inode = os.path.realpath(f"/proc/self/fd/{ours.fileno()}")
        result = run(show)
    # Python itself ignores SIGPIPE in the child; that it had to do so itself cannot be seen from there.
    assert result.text == "said True True True"
    names, links = json.loads(tmp.read_text())
    assert set(names) - {"LC_CTYPE"} <= {"PATH", "LANG", "LC_ALL", "TZ", "HOME", "GREETING", MARK}
    assert {"PATH", "LANG", "GREETING"} <= set(names)
    assert "/dev/null" in links
    assert inode not in links


def test_ignored_signals_are_not_passed_on(script: Write) -> None:
    """A plugin in a pipeline relies on SIGPIPE, which Python ignores for itself."""
    ignored = run(script("grep SigIgn /proc/self/status"))
    assert int(ignored.text.split()[1], 16) & (1 << 12 | 1 << 14 | 1 << 16) == 0


def test_secrets_of_env_are_not_repeated(script: Write) -> None:
    """A plugin that prints its password does not get it into the text, the facts or a condition's value."""
    target = script(
        'echo "login $PASSWORD failed | $PASSWORD=1"; echo $PASSWORD >&2; exit 2', PASSWORD="hunter2"
    )
    result = run(target, warn=(condition("body contains x", "body", "contains", "x"),))
    assert "hunter2" not in repr(result)
    assert result.text == "login *** failed"
    assert "hunter2" not in repr(target)


def test_secrets_among_the_arguments_are_not_repeated_either(script: Write) -> None:
    """What `${}` put into an argument is hidden like a variable."""
    target = replace(script('echo "no such user $1"; exit 2', "hunter2"), hidden=(Secret("hunter2"),))
    assert run(target).text == "no such user ***"


def test_arguments_are_words_and_no_shell_sees_them(script: Write) -> None:
    """Blanks, quotes and dollars arrive as they are."""
    assert run(script('echo "$#:$1:$2"', "a b; $HOME `id`", "'")).text == "2:a b; $HOME `id`:'"


def test_limits_hold(script: Write) -> None:
    """CPU, memory, files, cores: each is bounded, and running into one is no verdict on the service."""
    limits = run(
        script(
            "import resource as r, time\n"
            "while r.getrlimit(r.RLIMIT_NOFILE)[0] > 1024: time.sleep(0.01)\n"
            "print([r.getrlimit(x)[0] for x in (r.RLIMIT_CORE, r.RLIMIT_CPU, r.RLIMIT_NOFILE)])\n"
            "print(r.getrlimit(r.RLIMIT_DATA)[0], r.getrlimit(r.RLIMIT_NPROC)[0] > 256)",
            shebang=sys.executable,
        ),
        timeout_s=5.0,
    )
    assert limits.text == "[0, 6, 1024]"
    assert limits.facts["more"] == "1073741824 True"
    eater = script("import time\ntime.sleep(0.3)\nx = 'x' * (3 << 30)", shebang=sys.executable)
    eats = run(eater, timeout_s=20.0)
    assert (eats.opinion, eats.facts["exit"]) == (Opinion.DEGRADED, 1)
    assert eats.text == "MemoryError"


def test_too_much_cpu_is_told(script: Write) -> None:
    """The bound on CPU is there for what outlives the look; who meets it sooner, by threads, hears so."""
    result = run(script("kill -XCPU $$"), timeout_s=5.0)
    assert (result.opinion, result.text) == (Opinion.UNKNOWN, "killed: more than 5 s of CPU")


BOMB: Final = """#!/bin/sh
f() { [ "$1" -gt 11 ] && exec sleep 60; f $(($1 + 1)) & f $(($1 + 1)) & wait; }
sleep 0.3
f 0
"""
"""It would come to 8,191 processes: a bomb, but one that a failing test survives."""
STRANGER: Final = 64_321
THE_LOOK: Final = f"""
import asyncio, os, sys
sys.path[:0] = sys.argv[2:]
from support.looking import look
from watchtower.core.targets import ExecTarget
os.setgroups([])
os.setresgid({STRANGER}, {STRANGER}, {STRANGER})
os.setresuid({STRANGER}, {STRANGER}, {STRANGER})
print(asyncio.run(look(ExecTarget(program=sys.argv[1]), timeout_s=2.0)).text)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, whom the limit holds for")
def test_a_fork_bomb_is_bounded_and_gone_at_once() -> None:
    """The number of processes is limited by what the machine runs anyway; one signal ends them all."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        bomb = Path(folder, "bomb")
        bomb.write_text(BOMB)
        bomb.chmod(0o755)
        command = [sys.executable, "-c", THE_LOOK, str(bomb), str(ROOT), str(ROOT / "tests")]
        tasks = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as looking:
            most = 0
            while looking.poll() is None:
                most = max(most, _of_stranger())
            assert looking.stdout is not None
            said = looking.stdout.read()
    assert 100 < most < tasks + 256 + 200
    assert "timeout after 2.0 s" in said or "annot fork" in said, said
    _until(lambda: _of_stranger() == 0)


def _of_stranger() -> int:
    """How many processes that user has."""
    return sum(1 for path in Path("/proc").glob("[0-9]*") if _owner(path) == STRANGER)


def _owner(path: Path) -> int:
    try:
        return path.stat().st_uid
    except OSError:
        return -1


def test_too_many_at_once_wait_and_are_never_down_for_it(script: Write) -> None:
    """A place is waited for; a timeout after that is this peer's doing, and says so."""

    async def run() -> list[Result]:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        try:
            slow = [script("sleep 30")] * prober._tools.children.at_once
            looks = [prober.probe(service("web", one), clock.now().boot + 1.5) for one in slow]
            late = [prober.probe(service("web", script("sleep 30")), clock.now().boot + 2.0)]
            quick = [prober.probe(service("web", script("echo made it")), clock.now().boot + 8.0)]
            found = await asyncio.gather(*looks, *late, *quick)
            # Programs that wait for one another say nothing of how this peer sees anything else.
            assert prober.means.reason(clock.now().boot) == ""
            return found
        finally:
            await prober.close()

    *slow, late, quick = asyncio.run(run())
    assert {result.opinion for result in slow} == {Opinion.DOWN}
    assert (late.opinion, late.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE)
    assert "programs of this peer were running already" in late.text
    assert (quick.opinion, quick.text) == (Opinion.UP, "made it")


KILLED_LOOK: Final = """
import asyncio, sys
sys.path[:0] = sys.argv[2:]
from support.looking import look
from watchtower.core.targets import ExecTarget
asyncio.run(look(ExecTarget(program=sys.argv[1]), timeout_s=60.0))
"""


def test_what_a_killed_process_left_is_ended(script: Write, tmp_path: Path) -> None:
    """A worker that is killed ends nothing itself; its keeper does, and touches no one else's programs."""
    theirs = tmp_path / "theirs"
    program = script(f"sleep 300 & echo $! $$ > {theirs}.new; mv {theirs}.new {theirs}; wait").program
    command = [sys.executable, "-c", KILLED_LOOK, program, str(ROOT), str(ROOT / "tests")]
    env = {"PATH": os.environ["PATH"], MARK: str(os.getpid())}
    with (
        subprocess.Popen(command) as worker,
        subprocess.Popen(["sleep", "300"], env=env) as neighbour,
    ):
        _until(theirs.exists, within_s=20.0)
        worker.kill()
        worker.wait()
        left = [int(pid) for pid in theirs.read_text().split()]
        assert all(map(_is_alive, left))
        end_orphans(worker.pid)
        _until(lambda: not any(map(_is_alive, left)))
        assert neighbour.poll() is None
        neighbour.kill()


def test_closing_ends_what_runs(script: Write, tmp_path: Path) -> None:
    """A peer that stops leaves no program behind."""
    pid = tmp_path / "pid"

    async def run() -> None:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        looking = asyncio.ensure_future(
            prober.probe(
                service("web", script(f"trap '' TERM\necho $$ > {pid}\nsleep 300")), clock.now().boot + 60
            )
        )
        while not (pid.exists() and pid.read_text()):
            await asyncio.wait([looking], timeout=0.02)
        looking.cancel()
        await asyncio.wait([looking])
        await prober.close()

    asyncio.run(run())
    assert not _is_alive(int(pid.read_text()))


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_hundred_plugins_leave_nothing_open(script: Write) -> None:
    """Descriptors and children are as many after many looks as after one."""

    async def run() -> tuple[int, int]:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        fine, missing = script("echo fine"), ExecTarget(program="/nowhere")
        await prober.probe(service("web", fine), clock.now().boot + 5)
        before = _open_files()
        looks = [
            prober.probe(service("web", fine if n % 4 else missing), clock.now().boot + 20)
            for n in range(100)
        ]
        results = await asyncio.gather(*looks)
        assert sum(result.opinion is Opinion.UP for result in results) == 75
        after = _open_files()
        await prober.close()
        return before, after

    before, after = asyncio.run(run())
    assert before == after
    assert _children() == []

"""A login to MySQL or MariaDB and one query: good when it lets us in and answers without an error.

The words are wires/mysql.py's.
"""

from __future__ import annotations

from watchtower.core.targets import MysqlTarget
from watchtower.probes.kinds.login import Answer, inside
from watchtower.probes.look import Finding, Look
from watchtower.probes.tools import Tools
from watchtower.probes.wires import mysql as mysql_wire
from watchtower.probes.wires.wire import Wire


async def probe(target: MysqlTarget, tools: Tools, look: Look) -> Finding:
    """Hear the greeting, log in, ask, and leave in order."""

    async def talk(wire: Wire, greeted: str) -> Answer:
        # Over TLS the greeting came before it.
        heard = greeted.encode("latin-1") or await mysql_wire.hear(wire)
        greeting = mysql_wire.greeting_in(heard)
        wire.begin("login")
        await mysql_wire.log_in(wire, greeting, target.user, target.password, target.database)
        wire.begin("query")
        rows = await mysql_wire.ask(wire, target.query.reveal())
        return Answer(text=str(rows), server=greeting.version, facts=rows.facts())

    return await inside(target, tools, look, talk, goodbye=mysql_wire.GOODBYE, starttls="mysql")

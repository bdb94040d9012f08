"""A login to an AMQP broker: good when it lets us into the virtual host, and knows the queue if one is named.

With `publish` it must take a message as well, which a broker that is short of memory or disk does not. The
words are wires/amqp.py's, which needs the extra `amqp`.
"""

from __future__ import annotations

from typing import Any

from watchtower.core.targets import AmqpTarget
from watchtower.probes.kinds.login import Answer, inside
from watchtower.probes.look import Finding, Look
from watchtower.probes.tools import Tools
from watchtower.probes.wires.wire import Wire


async def probe(target: AmqpTarget, tools: Tools, look: Look) -> Finding:
    """Log in, look at the queue, publish where that is asked for, and leave in order."""
    from watchtower.probes.wires import amqp as amqp_wire  # noqa: PLC0415 - pamqp is an extra

    async def talk(wire: Wire, _greeting: str) -> Answer:
        wire.begin("login")
        password = amqp_wire.revealed(target.password)
        server = await amqp_wire.log_in(wire, target.user, password, target.vhost)
        facts: dict[str, Any] = {}
        text = "logged in"
        if target.queue or target.publish:
            wire.begin("query")
            await amqp_wire.open_channel(wire)
        if target.queue:
            queue = await amqp_wire.look_at(wire, target.queue)
            facts = {"messages": queue.messages, "consumers": queue.consumers}
            text = f"{queue.messages} messages, {queue.consumers} consumers"
        if target.publish:
            await amqp_wire.publish(wire)
        return Answer(text=text, server=server, facts=facts)

    return await inside(target, tools, look, talk, goodbye=amqp_wire.goodbye())

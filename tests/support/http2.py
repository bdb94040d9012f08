"""A server that speaks HTTP/2 and nothing else, and answers every request with 200 and `hi`."""

from __future__ import annotations

import asyncio

import h2.config
import h2.connection
import h2.events


async def answer_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until the other side hangs up."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    while heard := await reader.read(65_536):
        for event in connection.receive_data(heard):
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                connection.send_headers(event.stream_id, [(":status", "200"), ("content-length", "2")])
                connection.send_data(event.stream_id, b"hi", end_stream=True)
        writer.write(connection.data_to_send())
        await writer.drain()

"""Lines of a response, with a bound on how much of one line is held."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True)
class TooLong:
    """A line that exceeds the limit."""

    prefix: bytes
    """The first part of the line."""

    size: int
    """Length of the whole line, in bytes."""


async def bounded_lines(
    chunks: AsyncIterator[bytes], limit_bytes: int, prefix_bytes: int
) -> AsyncGenerator[bytes | TooLong]:
    """Yield the lines of a stream without their newlines, and TooLong for each line above the limit.

    Never holds more than `limit_bytes` and one chunk. Skips empty lines, and the last line if no newline ends it: the
    connection broke within that line.
    """
    line, too_long = bytearray(), None
    async for chunk in chunks:
        start = 0
        while start <= len(chunk):
            newline = chunk.find(b"\n", start)
            end = len(chunk) if newline < 0 else newline
            if too_long is None and len(line) + end - start <= limit_bytes:
                line += memoryview(chunk)[start:end]
            elif too_long is None:
                line += memoryview(chunk)[start : min(end, start + prefix_bytes)]
                too_long = TooLong(bytes(line[:prefix_bytes]), len(line) + end - min(end, start + prefix_bytes))
                line = bytearray()
            else:
                too_long = TooLong(too_long.prefix, too_long.size + end - start)
            if newline < 0:
                break
            if too_long is not None:
                yield too_long
            elif line:
                yield bytes(line)
            line, too_long = bytearray(), None
            start = newline + 1

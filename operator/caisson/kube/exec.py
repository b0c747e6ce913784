"""Run a command in a pod through the API (`pods/exec`) and collect what it prints, bounded in time and bytes."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.stream import WsApiClient
from kubernetes.aio.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL

from caisson.model.pod_shape import CONTAINER_NAME
from caisson.timing import (
    EXEC_HEARTBEAT_SECONDS,
    MAX_ERROR_MESSAGE_LENGTH,
    MAX_EXEC_FIRST_LINE_BYTES,
    MAX_EXEC_OUTPUT_BYTES,
    MAX_EXEC_STATUS_BYTES,
)


class ExecError(Exception):
    """The session did not run to its end: it could not be opened, broke, took too long or printed too much."""


class ExecTimeoutError(ExecError):
    """The command did not end in time. It continues in the pod."""


@dataclass(frozen=True)
class ExecResult:
    """How the command ended, and what it printed."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Executor:
    """Opens exec sessions. They have their own client, because the library's websocket client supports nothing else."""

    def __init__(self, configuration: client.Configuration) -> None:
        """Use the cluster of this configuration. Call `close` at the end."""
        self._api = WsApiClient(configuration, heartbeat=EXEC_HEARTBEAT_SECONDS)
        self._core = client.CoreV1Api(self._api)

    async def close(self) -> None:
        """Close all connections. A command that still runs in a pod continues."""
        await self._api.close()

    async def run(
        self,
        namespace: str,
        pod: str,
        command: tuple[str, ...],
        timeout_seconds: float,
        on_first_line: Callable[[bytes], None],
    ) -> ExecResult:
        """Run a command in a pod's sandbox container, without stdin. Raises ExecError.

        `on_first_line` is called once with the first line of the standard output, if it ends within 4 KiB.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._run(namespace, pod, command, on_first_line)
        except TimeoutError as error:
            raise ExecTimeoutError(f"the session did not end within {timeout_seconds:.0f} s") from error
        except aiohttp.WSServerHandshakeError as error:
            raise ExecError(f"the session could not be opened: {error.status} {error.message}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ExecError(f"the session broke: {error or type(error).__name__}") from error

    async def _run(
        self, namespace: str, pod: str, command: tuple[str, ...], on_first_line: Callable[[bytes], None]
    ) -> ExecResult:
        connecting = await self._core.connect_get_namespaced_pod_exec_without_preload_content(
            name=pod,
            namespace=namespace,
            container=CONTAINER_NAME,
            command=list(command),
            stdin=False,
            stdout=True,
            stderr=True,
            tty=False,
        )
        streams = {
            STDOUT_CHANNEL: _Stream("standard output", MAX_EXEC_OUTPUT_BYTES),
            STDERR_CHANNEL: _Stream("standard error", MAX_EXEC_OUTPUT_BYTES),
            ERROR_CHANNEL: _Stream("the error channel", MAX_EXEC_STATUS_BYTES),
        }
        has_passed_first_line = False
        async with connecting as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.ERROR:
                    raise ExecError(f"the session broke: {message.data}")
                if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                    continue
                stream = streams.get(message.data[0])
                if stream is not None:
                    stream.add(message.data[1:])
                    if (
                        not has_passed_first_line
                        and stream is streams[STDOUT_CHANNEL]
                        and b"\n" in stream.data[:MAX_EXEC_FIRST_LINE_BYTES]
                    ):
                        has_passed_first_line = True
                        on_first_line(bytes(stream.data.partition(b"\n")[0]))
                # Buffered frames arrive without a pause, so yield: thousands of them must not block other tasks.
                await asyncio.sleep(0)
        end = bytes(streams[ERROR_CHANNEL].data)
        if not end:
            raise ExecError("the session broke before the command ended")
        return ExecResult(_exit_code(end), bytes(streams[STDOUT_CHANNEL].data), bytes(streams[STDERR_CHANNEL].data))


class _Stream:
    def __init__(self, name: str, limit: int) -> None:
        self._name, self._limit, self.data = name, limit, bytearray()

    def add(self, data: bytes) -> None:
        if len(self.data) + len(data) > self._limit:
            raise ExecError(f"the command printed more than {self._limit} bytes on {self._name}")
        self.data += data


def _exit_code(end: bytes) -> int:
    """Return the exit code from the Status object that ends a session. Raises ExecError if it contains none."""
    try:
        status = json.loads(end)
        if status["status"] == "Success":
            return 0
        causes = status.get("details", {}).get("causes", [])
        codes = [int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"]
        message = str(status.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExecError("the session ended with a status that can't be parsed") from error
    if not codes:
        # The kubelet could not run the command.
        raise ExecError(f"the command could not be run: {message[:MAX_ERROR_MESSAGE_LENGTH]}")
    return codes[0]

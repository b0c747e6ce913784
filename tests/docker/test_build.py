"""docker build with both builders."""

import pytest

from tests.docker.daemon import SMALL, Daemon

pytestmark = pytest.mark.campaign

BUILDERS = pytest.mark.parametrize("buildkit", ["0", "1"], ids=["classic", "buildkit"])

MULTI_STAGE = f"""
FROM {SMALL} AS build
ARG GREETING=none
WORKDIR /source
COPY words .
RUN tr a-z A-Z <words >/shouted && echo "$GREETING" >>/shouted

FROM {SMALL} AS unused
RUN exit 1

FROM scratch
COPY --from=build /bin/busybox /cat
COPY --from=build /shouted /
ENTRYPOINT ["/cat", "/shouted"]
"""


def build(docker: Daemon, dockerfile: str, *options: str, buildkit: str = "1") -> str:
    """Build the image `built` from a Dockerfile in /context, and return the builder's output."""
    docker.write("/context/Dockerfile", dockerfile)
    command = ["docker", "build", "--tag", "built", *options, "/context"]
    if buildkit == "1":
        command[2:2] = ["--progress", "plain"]
    return docker.run("sh", "-ec", '"$@" 2>&1', "sh", "env", f"DOCKER_BUILDKIT={buildkit}", *command, timeout=300)


@BUILDERS
def test_multi_stage_build_uses_its_context_and_arguments(docker: Daemon, buildkit: str) -> None:
    docker.write("/context/words", "it was built\n")
    # The classic builder builds every stage up to the target. BuildKit builds only the stages that the target requires.
    dockerfile = MULTI_STAGE if buildkit == "1" else MULTI_STAGE.replace("exit 1", "true")
    build(docker, dockerfile, "--build-arg", "GREETING=hello", buildkit=buildkit)
    assert docker("run", "--rm", "built").splitlines() == ["IT WAS BUILT", "hello"]


@BUILDERS
def test_build_step_reaches_the_api_server(docker: Daemon, buildkit: str) -> None:
    server = docker.shell("echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT")
    dockerfile = f"FROM {SMALL}\nRUN nc -w 5 {server} </dev/null && echo it was reached\n"
    assert "it was reached" in build(docker, dockerfile, "--no-cache", buildkit=buildkit)


@BUILDERS
def test_unchanged_step_is_cached(docker: Daemon, buildkit: str) -> None:
    dockerfile = f"FROM {SMALL}\nRUN cat /proc/sys/kernel/random/uuid >/once\nCMD cat /once\n"
    build(docker, dockerfile, buildkit=buildkit)
    first = docker("run", "--rm", "built")
    build(docker, dockerfile, buildkit=buildkit)
    assert docker("run", "--rm", "built") == first


def test_buildkit_mounts_secrets_and_caches(docker: Daemon) -> None:
    docker.write("/secret", "only for the build")
    dockerfile = f"""
FROM {SMALL}
RUN --mount=type=secret,id=word wc -c </run/secrets/word | tr -d "\\n" >/length
RUN --mount=type=cache,target=/cache touch /cache/it-was-here
RUN --mount=type=cache,target=/cache ls /cache >/cached
CMD cat /length; echo; cat /cached; ls /run/secrets /cache 2>/dev/null || true
"""
    build(docker, dockerfile, "--secret", "id=word,src=/secret")
    assert docker("run", "--rm", "built").splitlines() == ["23", "it-was-here"]


def test_buildx_uses_the_builder_of_dockerd(docker: Daemon) -> None:
    assert "Driver:        docker\n" in docker("buildx", "inspect")


@BUILDERS
def test_image_with_forty_layers_runs(docker: Daemon, buildkit: str) -> None:
    steps = "".join(f"RUN echo {number} >/layer-{number}\n" for number in range(40))
    build(docker, f"FROM {SMALL}\n{steps}", "--no-cache", buildkit=buildkit)
    assert len(docker.inspect("built")["RootFS"]["Layers"]) == 41
    assert docker("run", "--rm", "built", "sh", "-c", "cat /layer-* | sort -n") == "\n".join(map(str, range(40)))

"""The local cluster: a real Kubernetes with gVisor on one Linux machine, for demos, tests and benchmarks.

Standard library only, because it runs before any virtualenv exists. Start at `python3 -m local --help`.

From the bottom up (a module imports only modules listed above it):

    errors, paths, command, progress, cache     small tools
    capabilities, prerequisites, virtualenv     checks of the machine, system packages and Python packages
    components, toolchain, build                pinned Go modules to cached binaries
    images, image_build                         Dockerfiles to cached image archives
    network, pki, render, parts                 pure: the cluster's files and command lines (pki calls openssl)
    cgroups, relay, supervisor, init            processes inside the namespaces
    namespaces, containerd, cluster             start, enter, stop
    operator, tools, demo, __main__             the user's commands
"""

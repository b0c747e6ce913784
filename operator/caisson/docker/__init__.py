"""The life of dockerd in a pod: state, diagnosis, commands, requirements, warnings, address pools. Pure."""

"""The pod of a Sandbox: its manifest, and what the state of a pod means. Pure."""

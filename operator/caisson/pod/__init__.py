"""The pod of a Sandbox: its manifest, and the interpretation of its state. Pure."""

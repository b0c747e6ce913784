"""The watches of Sandboxes and SandboxPools, and the requests at startup. This package makes no decisions."""

"""The decision about one Sandbox: from observed state to status and next action. Pure."""

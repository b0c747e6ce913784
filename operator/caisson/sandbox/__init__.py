"""The decision about one Sandbox: from its observed state to its status and the next action. Pure."""

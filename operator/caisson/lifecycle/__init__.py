"""What ends or suspends a Sandbox: expiry, idleness, the user's request. Pure."""

"""The edges: kopf's events become wake-ups of the queue, HTTP probes become answers. No decision lives here."""

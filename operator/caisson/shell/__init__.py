"""The imperative shell: everything that touches the cluster, the clock or the event loop. It decides nothing."""

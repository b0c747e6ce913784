"""Parts of a status, and the patches and Events that result from a change. Pure."""

"""Parts of a status, and the patches and Events that follow from a change. Pure."""

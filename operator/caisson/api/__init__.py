"""The public API: resources, condition types and reasons, and the CRD made from them. Pure descriptions."""

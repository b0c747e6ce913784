"""The public API: resources, condition types, reasons, and the CRDs that are generated from them. Pure."""

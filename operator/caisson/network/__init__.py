"""NetworkPolicies and the address ranges in them. Pure."""

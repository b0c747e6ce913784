"""The objects that belong to a Sandbox or a pool beside its pods: drift, Services, PersistentVolumeClaims. Pure."""

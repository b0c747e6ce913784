"""Child objects of a Sandbox or a pool other than pods: drift, Services, PersistentVolumeClaims. Pure."""

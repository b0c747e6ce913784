"""The controllers. The only package that acts on the cluster: it observes, decides by the pure packages and acts."""

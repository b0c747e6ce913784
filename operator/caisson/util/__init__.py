"""Pure functions without knowledge of Caisson's resources."""

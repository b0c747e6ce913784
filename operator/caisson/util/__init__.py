"""Pure functions that know nothing of Caisson's resources."""

"""The functional core: everything that Caisson decides, as pure functions of what was observed."""

"""Results in other programs' formats, one module each; docs/exports.md says their axes, units and names."""

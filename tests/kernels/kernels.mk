# Conformance of every kernel variant with scalar.c.

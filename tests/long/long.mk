# What takes many minutes, or a machine of its own to say anything.
if FULL
LONG_TESTS = tests/long/load.sh tests/long/bombs.sh

## check-long: tests that take long, with their figures
check-long: all
	for test in $(LONG_TESTS); do srcdir=$(srcdir) $(srcdir)/$$test || exit 1; done
endif
EXTRA_DIST += tests/long/load.sh tests/long/load.mjs tests/long/bombs.sh tests/long/bombs.mjs
.PHONY: check-long

# Nothing breaks it: the long runs.
EXTRA_DIST += tests/long/safe.sh tests/long/static.sh
LONG_TESTS = tests/long/safe.sh
if FULL
## check-long: tests that take long, with their figures
check-long: all
	$(MAKE) check TESTS=
	for test in $(LONG_TESTS); do srcdir=$(srcdir) $(srcdir)/$$test || exit 1; done
endif
.PHONY: check-long

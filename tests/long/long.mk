# What takes many minutes, or a machine of its own to say anything.
LONG_TESTS = tests/long/safe.sh tests/long/bombs.sh tests/long/load.sh tests/long/tenants.sh \
	tests/long/valgrind.sh tests/long/coverage.sh
if FULL
## check-long: tests that take long, with their figures
check-long: all
	$(MAKE) check TESTS=
	for test in $(LONG_TESTS); do srcdir=$(srcdir) $(srcdir)/$$test || [ $$? -eq 77 ] || exit 1; done
endif
EXTRA_DIST += tests/long/load.sh tests/long/load.mjs tests/long/safe.sh tests/long/static.sh tests/long/analysis.h \
	tests/long/valgrind.sh tests/long/coverage.sh tests/long/coverage.h tests/long/first-hour.sh \
	tests/long/bombs.sh tests/long/bombs.mjs tests/long/tenants.sh tests/long/tenants.mjs
## check-static: cppcheck and the analysers of gcc and clang
check-static:
	srcdir=$(srcdir) $(srcdir)/tests/long/static.sh
.PHONY: check-long check-static

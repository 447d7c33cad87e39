# What takes many minutes, or a machine of its own to say anything.
if FULL
## check-long: every bar of doc/reliability.md that can be measured, MINUTES=60, and a table of them
check-long: all manager
	$(MAKE) check TESTS=
	srcdir=$(srcdir) $(srcdir)/tests/long/bars.sh
## check-soak: a mixture of everything for SOAK_SECONDS=600, a day is 86400: memory, descriptors, threads stay
SOAK_SECONDS = 600
check-soak: all
	srcdir=$(srcdir) SOAK_SECONDS=$(SOAK_SECONDS) $(srcdir)/tests/soak/soak.sh
endif
## check-valgrind: the unit tests under Valgrind, some hours
check-valgrind: all
	srcdir=$(srcdir) $(srcdir)/tests/long/valgrind.sh
## check-coverage: what unit tests walk through of parsers and interface
check-coverage:
	srcdir=$(srcdir) $(srcdir)/tests/long/coverage.sh
## check-static: cppcheck and the analysers of gcc and clang
check-static:
	srcdir=$(srcdir) $(srcdir)/tests/long/static.sh
EXTRA_DIST += tests/long/bars.sh tests/long/load.sh tests/long/load.mjs tests/long/static.sh tests/long/analysis.h \
	tests/long/valgrind.sh tests/long/coverage.sh tests/long/coverage.h tests/long/first-hour.sh \
	tests/long/first-hour-words.sh tests/long/first-hour-inside.sh tests/long/bombs.sh tests/long/bombs.mjs \
	tests/long/tenants.sh tests/long/tenants.mjs tests/long/leave.sh tests/long/leave.mjs tests/long/signals.sh \
	tests/long/signals.mjs tests/long/templates.sh tests/long/sanitized.sh tests/long/storm.mjs tests/long/hardened.sh \
	tests/long/valid.sh tests/long/valid.mjs \
	tests/soak/soak.sh tests/soak/soak.mjs
.PHONY: check-long check-soak check-valgrind check-coverage check-static

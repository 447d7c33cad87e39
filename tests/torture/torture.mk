# Whatever the system may refuse is refused once: see fail.c.
if FULL
check_DATA += tests/torture/fail.so
tests/torture/fail.so: tests/torture/fail.c
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -std=gnu11 -fPIC -shared $(LDFLAGS) \
	  $(srcdir)/tests/torture/fail.c -ldl -o $@
CLEANFILES += tests/torture/fail.so
TESTS += tests/torture/torture.sh
endif
EXTRA_DIST += tests/torture/fail.c tests/torture/torture.mjs tests/torture/torture.sh

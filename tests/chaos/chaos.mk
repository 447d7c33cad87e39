# The machine misbehaves.
if FULL
check_DATA += tests/chaos/clock.so
tests/chaos/clock.so: tests/chaos/clock.c
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -std=gnu11 -fPIC -shared $(LDFLAGS) \
	  $(srcdir)/tests/chaos/clock.c -ldl -o $@
CLEANFILES += tests/chaos/clock.so
TESTS += tests/chaos/chaos.sh
endif
EXTRA_DIST += tests/chaos/clock.c tests/chaos/chaos.sh

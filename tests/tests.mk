# What every test program may use, lowest floor last, as the linker wants it.
if FULL
TEST_LIBS = libserver.a libengine.a libkernels.a $(KERNEL_VARIANTS) libmodel.a libformats.a libbase.a \
	$(MHD_LIBS) $(GNUTLS_LIBS) $(UV_LIBS) $(CJSON_LIBS) $(PCRE2_LIBS) $(UNISTRING_LIBS) $(NETTLE_LIBS) $(XXHASH_LIBS) $(CHECK_LIBS) -lm -lpthread
TEST_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS) $(CHECK_CFLAGS)
endif

# Check's programs and the end to end tests: how many times their limits of time are as long.  Check's own limit of
# four seconds a test is less than some machines rest.
AM_TESTS_ENVIRONMENT = \
	CK_DEFAULT_TIMEOUT=$${CK_DEFAULT_TIMEOUT:-60}; export CK_DEFAULT_TIMEOUT; \
	CK_TIMEOUT_MULTIPLIER=$${CK_TIMEOUT_MULTIPLIER:-$(PATIENCE)}; export CK_TIMEOUT_MULTIPLIER; \
	E2E_PATIENCE=$${E2E_PATIENCE:-$(PATIENCE)}; export E2E_PATIENCE;

TESTS += tests/headers.sh tests/docs.sh
EXTRA_DIST += tests/headers.sh tests/docs.sh

include tests/unit/unit.mk
include tests/fuzz/fuzz.mk
include tests/torture/torture.mk
include tests/adversary/adversary.mk
include tests/chaos/chaos.mk
include tests/kernels/kernels.mk
include tests/golden/golden.mk
include tests/e2e/e2e.mk
include tests/long/long.mk
include tests/long/deploy.mk

# Conformance of every kernel variant with scalar.c.  It needs no library and is built without FULL
# too: that is how check-arm.sh builds it for another architecture.
check_PROGRAMS += kcheck
TESTS += kcheck
kcheck_SOURCES = \
	tests/kernels/kcheck.h tests/kernels/kcheck.c tests/kernels/kcheck_attend.c tests/kernels/kcheck_delta.c \
	tests/kernels/kcheck_float.c tests/kernels/kcheck_head.c tests/kernels/kcheck_signs.c \
	tests/kernels/kcheck_ternary.c
kcheck_CFLAGS = $(KERNEL_CFLAGS)
kcheck_LDADD = libkernels.a $(KERNEL_VARIANTS) libformats.a libbase.a -lm -lpthread
EXTRA_DIST += tests/kernels/check-arm.sh

## check-kernels: only the conformance of the kernels
check-kernels: kcheck
	./kcheck
.PHONY: check-kernels

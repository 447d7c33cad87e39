# libkernels.a holds the dispatch and the scalar specification; each instruction set is a library of
# its own with its own flags, so that no other code is ever compiled with them.
noinst_LIBRARIES += libkernels.a
libkernels_a_CFLAGS = $(AM_CFLAGS) -ffp-contract=off
libkernels_a_SOURCES = \
	include/kernels/kernels.h src/kernels/dispatch.c src/kernels/scalar.c
KERNEL_VARIANTS =
if ARCH_X86
noinst_LIBRARIES += libkernels_avx2.a libkernels_avx512.a
KERNEL_VARIANTS += libkernels_avx2.a libkernels_avx512.a
endif
if ARCH_ARM
noinst_LIBRARIES += libkernels_neon.a
KERNEL_VARIANTS += libkernels_neon.a
endif

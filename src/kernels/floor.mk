# libkernels.a holds the dispatch and the scalar specification; each instruction set is a library of
# its own with its own flags, so that no other code is ever compiled with them.
# No fast-math, and no contraction: a fused multiply-add stands where kernels.h says so.
# Nor are arrays cleared on entry, as hardening has it elsewhere: the sums of a call are kilobytes, and
# a product of a small matrix took a fifth longer for it.  Each is written before it is read: kcheck of
# CC=clang --enable-sanitizers=memory says so, but for matrix tiles, whose stores that does not know.
KERNEL_CFLAGS = $(AM_CFLAGS) $(UNCLEARED_CFLAGS) $(UNCOUNTED_CFLAGS) -ffp-contract=off
AVX2_CFLAGS = -mavx2 -mfma -mf16c
AVX512_CFLAGS = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c

noinst_LIBRARIES += libkernels.a
libkernels_a_CFLAGS = $(KERNEL_CFLAGS)
libkernels_a_SOURCES = \
	include/kernels/kernels.h src/kernels/variants.h src/kernels/numbers.h src/kernels/inline.h \
	src/kernels/attend.h src/kernels/billm.inc \
	src/kernels/dispatch.c src/kernels/scalar.c src/kernels/scalar_signs.c \
	src/kernels/rest.c src/kernels/layernorm.c src/kernels/delta.h src/kernels/convolve.c \
	src/kernels/rotate.c src/kernels/arrange.c
KERNEL_VARIANTS =
if ARCH_X86
noinst_LIBRARIES += libkernels_avx2.a libkernels_avx512.a libkernels_vbmi.a libkernels_amx.a
KERNEL_VARIANTS += libkernels_amx.a libkernels_vbmi.a libkernels_avx512.a libkernels_avx2.a
libkernels_avx2_a_CFLAGS = $(KERNEL_CFLAGS) $(AVX2_CFLAGS)
libkernels_avx2_a_SOURCES = \
	src/kernels/x86_avx2.h src/kernels/x86_billm.inc src/kernels/x86_avx2.c src/kernels/x86_avx2_float.c \
	src/kernels/x86_avx2_attend.c src/kernels/x86_avx2_signs.c
libkernels_avx512_a_CFLAGS = $(KERNEL_CFLAGS) $(AVX512_CFLAGS)
libkernels_avx512_a_SOURCES = \
	src/kernels/x86_avx512.h src/kernels/x86_avx512.c src/kernels/x86_avx512_float.c \
	src/kernels/x86_avx512_attend.c src/kernels/x86_avx512_panel.c src/kernels/x86_avx512_signs.c
libkernels_vbmi_a_CFLAGS = $(KERNEL_CFLAGS) $(AVX512_CFLAGS) -mavx512vbmi
libkernels_vbmi_a_SOURCES = src/kernels/x86_avx512_t5.h src/kernels/x86_avx512_vbmi.c
libkernels_amx_a_CFLAGS = $(KERNEL_CFLAGS) $(AVX512_CFLAGS) -mavx512vbmi -mamx-tile -mamx-int8 \
	-mprfchw
libkernels_amx_a_SOURCES = \
	src/kernels/x86_amx.h src/kernels/x86_amx_groups.h src/kernels/x86_amx.c \
	src/kernels/x86_amx_head.c src/kernels/x86_amx_signs.c
endif
if ARCH_ARM
noinst_LIBRARIES += libkernels_neon.a
KERNEL_VARIANTS += libkernels_neon.a
libkernels_neon_a_CFLAGS = $(KERNEL_CFLAGS) -march=armv8.2-a+dotprod+fp16
libkernels_neon_a_SOURCES = \
	src/kernels/arm_neon.h src/kernels/arm_neon.c src/kernels/arm_neon_float.c \
	src/kernels/arm_neon_attend.c src/kernels/arm_neon_signs.c
endif

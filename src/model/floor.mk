# Pure functions over bytes; the kernels need them, and they need no library.
noinst_LIBRARIES += libformats.a
libformats_a_SOURCES = \
	include/model/arch.h src/model/arch.c \
	include/model/layout.h src/model/layout.c \
	include/model/method.h src/model/method.c \
	include/model/quant.h src/model/quant.c src/model/quant-write.c src/model/quant-private.h \
	src/model/quant-rows.c src/model/quant-tiles.c \
	include/model/table.h src/model/table.c \
	src/model/wide.h src/model/wide-loops.h src/model/wide.c
if ARCH_X86
noinst_LIBRARIES += libformats_avx2.a
libformats_avx2_a_CFLAGS = $(AM_CFLAGS) -mavx2
libformats_avx2_a_SOURCES = src/model/wide-avx2.c
libformats_a_LIBADD = $(libformats_avx2_a_OBJECTS)
libformats_a_DEPENDENCIES = $(libformats_avx2_a_OBJECTS)
endif

if FULL
noinst_LIBRARIES += libmodel.a
libmodel_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
libmodel_a_SOURCES = \
	include/model/chat.h src/model/chat.c src/model/chat-choose.c src/model/chat-family.h \
	src/model/chat-jinja.c src/model/chat-calls.c \
	include/model/jinja.h src/model/jinja-parts.h src/model/jinja-value.c src/model/jinja-text.c \
	src/model/jinja-lex.c src/model/jinja-cursor.c src/model/jinja-expr.c src/model/jinja-parse.c \
	src/model/jinja-eval.c src/model/jinja-exec.c src/model/jinja-ops.c src/model/jinja-inside.c src/model/jinja-string.c \
	src/model/jinja-methods.c src/model/jinja-json.c \
	src/model/jinja-filters.c src/model/jinja-lists.c src/model/jinja-tests.c \
	src/model/files.h src/model/files.c \
	include/model/gguf.h src/model/gguf.c \
	src/model/gguf-pairs.c src/model/gguf-cursor.c src/model/gguf-get.c src/model/gguf-private.h src/model/gguf-widths.c src/model/gguf-split.c src/model/gguf-read-as.c \
	src/model/gguf-planes.c src/model/gguf-view.c \
	src/model/gguf-make.c include/model/rotation.h src/model/rotation.c include/model/rows.h src/model/rows.c include/model/plausible.h src/model/plausible.c \
	include/model/reading.h src/model/reading.c src/model/reading-check.c \
	include/model/hf.h src/model/hf.c src/model/hf-config.c src/model/hf-groups.c src/model/hf-layers.c src/model/hf-names.c src/model/hf-parts.h \
	src/model/hf-tokenizer.c src/model/hf-pipeline.c src/model/hf-sentencepiece.c src/model/safetensors.h src/model/safetensors.c \
	include/model/loader.h src/model/loader.c src/model/loader-host.c src/model/loader-reader.c \
	src/model/loader-talk.c src/model/loader-parts.h \
	include/model/model.h src/model/load.c src/model/load-parts.h \
	src/model/hparams.c src/model/rope.c src/model/sampling.c \
	src/model/weights-parts.h src/model/weights.c src/model/weights-items.c src/model/pack.c \
	include/model/segment.h src/model/segment.c src/model/segment-file.h src/model/segment-digest.c \
	src/model/segment-list.c src/model/segment-pages.c src/model/segment-sum.c \
	include/model/tokenizer.h src/model/tokenizer.c src/model/tokenizer-parts.h \
	src/model/bpe.c src/model/merger.c src/model/normal.c src/model/pretok.c src/model/special.c \
	src/model/tokenizer-tables.c src/model/vocab.c
if ARCH_X86
noinst_LIBRARIES += libmodel_avx2.a
libmodel_avx2_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS) -mavx2
libmodel_avx2_a_SOURCES = src/model/segment-sum-avx2.c
noinst_LIBRARIES += libmodel_avx512.a
libmodel_avx512_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS) -mavx512f
libmodel_avx512_a_SOURCES = src/model/segment-sum-avx512.c
libmodel_a_LIBADD = $(libmodel_avx2_a_OBJECTS) $(libmodel_avx512_a_OBJECTS)
libmodel_a_DEPENDENCIES = $(libmodel_avx2_a_OBJECTS) $(libmodel_avx512_a_OBJECTS)
endif
endif

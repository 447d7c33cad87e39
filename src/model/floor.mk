# Pure functions over bytes; the kernels need them, and they need no library.
noinst_LIBRARIES += libformats.a
libformats_a_SOURCES = \
	include/model/arch.h src/model/arch.c \
	include/model/layout.h src/model/layout.c \
	include/model/quant.h src/model/quant.c \
	include/model/table.h src/model/table.c

if FULL
noinst_LIBRARIES += libmodel.a
libmodel_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
libmodel_a_SOURCES = \
	include/model/chat.h src/model/chat.c \
	include/model/gguf.h src/model/gguf.c \
	include/model/model.h src/model/load.c \
	include/model/segment.h src/model/segment.c \
	include/model/tokenizer.h src/model/tokenizer.c
endif

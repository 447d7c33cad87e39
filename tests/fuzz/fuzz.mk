# Harnesses for any bytes: check_fuzz runs them over their seeds; `make fuzz` needs clang.
FUZZ_HARNESSES = \
	tests/fuzz/fuzz.h tests/fuzz/without/check.h tests/fuzz/fuzz_chat.c tests/fuzz/fuzz_conf.c tests/fuzz/fuzz_framing.c \
	tests/fuzz/fuzz_gguf.c tests/fuzz/fuzz_grammar.c tests/fuzz/fuzz_jinja.c tests/fuzz/fuzz_keys.c \
	tests/fuzz/fuzz_params.c tests/fuzz/fuzz_regex.c tests/fuzz/fuzz_safetensors.c \
	tests/fuzz/fuzz_schema.c tests/fuzz/fuzz_sentencepiece.c tests/fuzz/fuzz_sse.c tests/fuzz/fuzz_text.c \
	tests/fuzz/fuzz_tiles.c tests/fuzz/fuzz_tokenizer.c tests/fuzz/fuzz_view.c \
	tests/fuzz/walk.h
if HAVE_CHECK
if FULL
check_PROGRAMS += check_fuzz
TESTS += check_fuzz
check_fuzz_SOURCES = tests/fuzz/check_fuzz.c $(FUZZ_HARNESSES) tools/gguf-write.h tools/gguf-write.c
check_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_REPLAY -I$(top_srcdir)/tools -I$(top_srcdir)/clients
check_fuzz_CFLAGS = $(TEST_CFLAGS)
check_fuzz_LDADD = libclient.a libmain.a $(TEST_LIBS)
endif
endif

## fuzz: the fuzzers, with clang
fuzz:
	srcdir=$(srcdir) $(srcdir)/tests/fuzz/fuzz.sh build
## fuzz-run: each fuzzer for SECONDS=60
SECONDS = 60
fuzz-run: fuzz
	srcdir=$(srcdir) $(srcdir)/tests/fuzz/fuzz.sh run $(SECONDS)
.PHONY: fuzz fuzz-run
EXTRA_DIST += tests/fuzz/integer.ignore tests/fuzz/fuzz.sh tests/fuzz/corpus tests/fuzz/dict

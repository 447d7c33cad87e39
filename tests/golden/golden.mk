# Tiny models with exact answers, through the whole engine.

# Tokenizer vectors, the recipes that made them, and our side of the comparison at full size.
EXTRA_DIST += tests/golden/rows.gguf tests/golden/make-rows.py tests/golden/models/b158.tq1_0.gguf tests/golden/models/bonsai.q2_0_g128.gguf \
	tests/golden/models/onebit.gguf tests/golden/models/onebit-plain.gguf tests/golden/models/b1.gguf \
	tests/golden/models/billm.gguf tests/golden/models/hybrid.q2_0.gguf tests/golden/models/hybrid-rotated.q2_0.gguf tests/golden/models/onebit.hf/config.json \
	tests/golden/models/onebit.hf/model.safetensors tests/golden/models/onebit.hf/tokenizer.json \
	tests/golden/models/onebit.hf/tokenizer_config.json \
	tests/golden/tokenizer/vectors.json tests/golden/tokenizer/chats.json \
	tests/golden/tokenizer/texts.mjs tests/golden/tokenizer/make-vectors.mjs tests/golden/tokenizer/make-vocab.mjs \
	tests/golden/tokenizer/make-chats.mjs tests/golden/tokenizer/families.mjs \
	tests/golden/tokenizer/reference.mjs tests/golden/tokenizer/make-small.mjs tests/golden/tokenizer/small.json
if FULL
check_PROGRAMS += tests/golden/tokenizer/tokenize
tests_golden_tokenizer_tokenize_SOURCES = tests/golden/tokenizer/tokenize.c
tests_golden_tokenizer_tokenize_CFLAGS = $(TEST_CFLAGS)
tests_golden_tokenizer_tokenize_LDADD = $(TEST_LIBS)
endif

# Templates: our side of the comparison with other interpreters.
EXTRA_DIST += tests/golden/templates/compare.mjs
if FULL
check_PROGRAMS += tests/golden/templates/render
tests_golden_templates_render_SOURCES = tests/golden/templates/render.c
tests_golden_templates_render_CFLAGS = $(TEST_CFLAGS)
tests_golden_templates_render_LDADD = $(TEST_LIBS)
endif

# Whole answers: right, and the same bits in every configuration.
EXTRA_DIST += tests/golden/expected.json tests/golden/exact.json tests/golden/exact-f16.json \
	tests/golden/make-exact.py tests/golden/methods.py tests/golden/methods.json \
	tests/golden/hybrid.py tests/golden/hybrid.json
if FULL
check_PROGRAMS += golden
TESTS += golden
golden_SOURCES = tests/golden/golden.c
golden_CFLAGS = $(TEST_CFLAGS)
golden_LDADD = $(TEST_LIBS)
endif

# Embedding models: vectors, and the same bits in every configuration.
EXTRA_DIST += tests/golden/embeddings.py tests/golden/embeddings.json tests/golden/models/embed-qwen3.gguf \
	tests/golden/models/embed-gemma3.gguf tests/golden/models/embed-plain.gguf \
	tests/golden/models/embed-gemma3.hf/config.json \
	tests/golden/models/embed-gemma3.hf/model.safetensors \
	tests/golden/models/embed-gemma3.hf/tokenizer.json \
	tests/golden/models/embed-gemma3.hf/tokenizer_config.json \
	tests/golden/models/embed-gemma3.hf/modules.json \
	tests/golden/models/embed-gemma3.hf/1_Pooling/config.json
if FULL
check_PROGRAMS += embed
TESTS += embed
embed_SOURCES = tests/golden/embed.c
embed_CFLAGS = $(TEST_CFLAGS)
embed_LDADD = $(TEST_LIBS)
endif

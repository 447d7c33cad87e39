# trit-model
if FULL
bin_PROGRAMS += trit-model
trit_model_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
trit_model_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
trit_model_SOURCES = tools/trit-model.c tools/tool.h tools/inspect.c tools/verify.c \
	tools/quantize.c tools/quantize.h tools/quantize-keys.c tools/quantize-options.c \
	tools/synth.c tools/synth.h tools/synth-options.c tools/synth-vocab.c tools/synth-hf.c \
	tools/synth-method.c tools/segments.c \
	tools/tensor-reader.c tools/gguf-write.c tools/gguf-write.h \
	tools/method.c tools/method-file.c tools/method.h tools/method-parts.h tools/method-onebit.c tools/method-billm.c \
	tools/float-model.c tools/float-model.h tools/float-run.c
trit_model_LDADD = libengine.a libkernels.a $(KERNEL_VARIANTS) libmodel.a libformats.a libbase.a $(CJSON_LIBS) $(PCRE2_LIBS) $(UNISTRING_LIBS) $(NETTLE_LIBS) \
	$(XXHASH_LIBS) -lm -lpthread
endif

# Perplexity, through a running tritd.  For those who judge models; it is not installed.
dist_noinst_SCRIPTS = tools/trit-perplexity

# Speed, measured.
if FULL
bin_PROGRAMS += trit-bench
trit_bench_SOURCES = tools/trit-bench.c tools/bench.h tools/bench-kernels.c tools/bench-model.c \
	tools/bench-context.c tools/bench-grammar.c tools/bench-load.c tools/bench-start.c tools/daemon.h tools/daemon.c \
	tools/bench-peak.c tools/proc.h tools/proc.c
trit_bench_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/clients
trit_bench_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS) $(CURL_CFLAGS)
trit_bench_LDADD = libclient.a libengine.a libkernels.a $(KERNEL_VARIANTS) libmodel.a libformats.a \
	libbase.a $(CURL_LIBS) $(CJSON_LIBS) $(PCRE2_LIBS) $(UNISTRING_LIBS) $(NETTLE_LIBS) $(XXHASH_LIBS) -lm -lpthread
endif

# How the built-in model is made; nothing of it is built or run by make.
EXTRA_DIST += \
	tools/train/README.md tools/train/run tools/train/amx.h tools/train/attention.c \
	tools/train/asked.py tools/train/bpe.py tools/train/check.py tools/train/corpus.py \
	tools/train/cpu.c tools/train/cpu.h tools/train/data.py tools/train/evaluate.py tools/train/export.py \
	tools/train/generate.py tools/train/model.py tools/train/optimiser.py tools/train/plot.py \
	tools/train/prepare.py tools/train/sample.py tools/train/step.py tools/train/talk.jsonl \
	tools/train/torch_step.py tools/train/train.py tools/train/vary.py \
	tools/train/configs/storyteller.json tools/train/configs/teacher.json \
	tools/train/configs/twin.json

# Routing and queueing of many replicas, simulated; see doc/scale.md.
dist_noinst_SCRIPTS += tools/fleet.py

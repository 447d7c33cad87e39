if FULL
noinst_LIBRARIES += libengine.a
libengine_a_SOURCES = \
	include/engine/acts.h src/engine/acts.c \
	src/engine/attention.h src/engine/attention.c \
	src/engine/batch.h src/engine/batch.c \
	include/engine/crew.h src/engine/crew.c \
	include/engine/draft.h src/engine/draft.c \
	include/engine/engine.h src/engine/engine-parts.h src/engine/engine.c src/engine/engine-step.c \
	src/engine/engine-proof.c \
	src/engine/forecast.h src/engine/forecast.c \
	include/engine/forward.h src/engine/forward-parts.h src/engine/forward.c src/engine/forward-phases.c \
	include/engine/grammar.h src/engine/grammar-parts.h src/engine/grammar.c \
	src/engine/grammar-parse.c src/engine/grammar-ranges.c src/engine/grammar-check.c src/engine/grammar-build.c \
	src/engine/grammar-stacks.c src/engine/grammar-vocab.c src/engine/grammar-walk.c src/engine/grammar-plain.c \
	src/engine/grammar-mask.c \
	include/engine/head.h src/engine/head.c \
	include/engine/kv.h src/engine/kv.c \
	include/engine/pace.h src/engine/pace.c \
	include/engine/pool.h src/engine/pool.c \
	include/engine/prefix.h src/engine/prefix.c \
	src/engine/queue.h src/engine/queue.c \
	src/engine/recurrence.h src/engine/recurrence.c \
	include/engine/sampler.h src/engine/sampler.c \
	include/engine/sched.h src/engine/sched-parts.h src/engine/sched.c src/engine/sched-rows.c \
	include/engine/seq.h src/engine/seq.c \
	include/engine/states.h src/engine/states.c \
	include/engine/stats.h src/engine/stats.c
endif

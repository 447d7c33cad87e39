# The real daemon, driven from outside.  TRITD_URL=http://host:port runs those tests that need only a
# server against one that runs already.
if FULL
check_PROGRAMS += notify-sink manager
notify_sink_SOURCES = tests/e2e/notify-sink.c
manager_SOURCES = tests/e2e/manager.c

E2E_TESTS = \
	tests/e2e/a-start.sh \
	tests/e2e/b-endpoints.sh \
	tests/e2e/c-openai.sh \
	tests/e2e/d-concurrent.sh \
	tests/e2e/e-disconnect.sh \
	tests/e2e/f-bad-requests.sh \
	tests/e2e/g-drain.sh \
	tests/e2e/h-segments.sh tests/e2e/z-reader.sh \
	tests/e2e/i-systemd.sh \
	tests/e2e/j-client.sh tests/e2e/j-answers.sh \
	tests/e2e/k-builtin.sh \
	tests/e2e/l-keys.sh \
	tests/e2e/m-limits.sh \
	tests/e2e/n-requests.sh \
	tests/e2e/o-energy.sh \
	tests/e2e/p-bench.sh \
	tests/e2e/q-prometheus.sh \
	tests/e2e/u-page.sh \
	tests/e2e/v-browser.sh \
	tests/e2e/w-embeddings.sh tests/e2e/w-embedders.sh \
	tests/e2e/y-folder.sh tests/e2e/y-groups.sh tests/e2e/y-kubernetes.sh tests/e2e/y-recall.sh \
	tests/e2e/z-sentencepiece.sh \
	tests/e2e/r-reading.sh tests/e2e/r-tls.sh \
	tests/e2e/s-sockets.sh \
	tests/e2e/x-log.sh tests/e2e/y-scale.sh \
	tests/e2e/x-restart.sh tests/e2e/x-upgrade.sh \
	tests/e2e/t-browser.sh \
	tests/e2e/t-thoughts.sh \
	tests/e2e/q-responses.sh \
	tests/e2e/r-fields.sh \
	tests/e2e/s-openapi.sh \
	tests/e2e/q-shapes.sh \
	tests/e2e/y-pull.sh tests/e2e/z-methods.sh tests/e2e/z-hybrid.sh \
	tests/e2e/x-tools.sh \
	tests/e2e/x-structured.sh \
	tests/e2e/t-models.sh
TESTS += $(E2E_TESTS)

# The openai package and the tests' model stay between runs of make check.
clean-local: clean-e2e
clean-e2e:
	-rm -rf tests/e2e-state

## check-restarts: 100 restarts and upgrades of a daemon that is busy, 1000 reloads
check-restarts: all manager
	RESTARTS=100 RELOADS=1000 $(MAKE) check TESTS=tests/e2e/x-restart.sh

## check-e2e: only the end to end tests
check-e2e: all notify-sink manager
	$(MAKE) check TESTS='$(E2E_TESTS)'
endif
EXTRA_DIST += tests/e2e/y-pull.sh tests/e2e/y-pull.mjs tests/e2e/z-methods.sh tests/e2e/z-methods.mjs tests/e2e/z-hybrid.sh \
	tests/e2e/lib.sh tests/e2e/lib.mjs \
	tests/e2e/a-start.sh \
	tests/e2e/b-endpoints.sh tests/e2e/b-endpoints.mjs \
	tests/e2e/c-openai.sh tests/e2e/c-openai.mjs \
	tests/e2e/d-concurrent.sh tests/e2e/d-concurrent.mjs \
	tests/e2e/e-disconnect.sh tests/e2e/e-disconnect.mjs tests/e2e/e-half-close.mjs \
	tests/e2e/f-bad-requests.sh tests/e2e/f-bad-requests.mjs \
	tests/e2e/g-drain.sh tests/e2e/g-drain.mjs \
	tests/e2e/h-segments.sh tests/e2e/z-reader.sh tests/e2e/i-systemd.sh tests/e2e/j-client.sh \
	tests/e2e/j-answers.sh tests/e2e/j-answers.mjs \
	tests/e2e/k-builtin.sh tests/e2e/k-builtin.mjs tests/e2e/k-builtin.txt \
	tests/e2e/k-builtin.txt.license \
	tests/e2e/l-keys.sh tests/e2e/l-keys.mjs \
	tests/e2e/m-limits.sh tests/e2e/m-limits.mjs \
	tests/e2e/n-requests.sh tests/e2e/n-requests.mjs tests/e2e/o-energy.sh \
	tests/e2e/p-bench.sh tests/e2e/p-bench.mjs \
	tests/e2e/q-prometheus.sh \
	tests/e2e/u-page.sh tests/e2e/v-browser.sh tests/e2e/v-browser.mjs tests/e2e/browser.mjs \
	tests/e2e/w-embeddings.sh tests/e2e/w-embeddings.mjs \
	tests/e2e/w-embedders.sh tests/e2e/w-embedders.mjs \
	tests/e2e/y-folder.sh tests/e2e/y-groups.sh tests/e2e/y-folder.mjs tests/e2e/y-recall.sh tests/e2e/y-kubernetes.sh \
	tests/e2e/y-kubernetes.mjs tests/e2e/z-sentencepiece.sh \
	tests/e2e/x-log.sh tests/e2e/y-scale.sh tests/e2e/y-scale.py \
	tests/e2e/x-restart.sh tests/e2e/x-restart.mjs tests/e2e/x-upgrade.sh \
	tests/long/booted-systemd.sh tests/long/booted-inside.sh \
	tests/e2e/r-reading.sh tests/e2e/r-reading.mjs tests/e2e/r-tls.sh tests/e2e/s-sockets.sh tests/e2e/t-browser.sh \
	tests/e2e/q-responses.sh tests/e2e/q-responses.mjs \
	tests/e2e/r-fields.sh tests/e2e/r-fields.mjs \
	tests/e2e/s-openapi.sh tests/e2e/s-openapi.mjs
EXTRA_DIST += doc/openapi.yaml \
	tests/e2e/q-shapes.sh tests/e2e/q-shapes.mjs tests/e2e/q-schemas.mjs \
	tests/e2e/t-thoughts.sh tests/e2e/t-thoughts.mjs \
	tests/e2e/x-tools.sh tests/e2e/x-tools.mjs \
	tests/e2e/x-structured.sh tests/e2e/x-structured.mjs tests/e2e/x-stuck.mjs \
	tests/e2e/t-models.sh tests/e2e/t-models.mjs
.PHONY: clean-e2e
.PHONY: check-e2e check-restarts

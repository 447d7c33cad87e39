# What is built and installed as others do it, and several daemons together.
if FULL
## check-deploy: the Debian package, and HAProxy before three daemons; takes minutes
check-deploy: all
	srcdir=$(srcdir) $(srcdir)/tests/long/package.sh
	srcdir=$(srcdir) $(srcdir)/tests/long/scale.sh
endif
EXTRA_DIST += tests/long/package.sh tests/long/scale.sh
.PHONY: check-deploy

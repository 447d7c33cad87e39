noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	include/base/base.h src/base/base.c \
	include/base/buf.h src/base/buf.c \
	include/base/cgroup.h src/base/cgroup.c \
	include/base/file.h src/base/file.c \
	include/base/hex.h src/base/hex.c \
	include/base/jsontext.h src/base/jsontext.c \
	include/base/log.h src/base/log.c src/base/log-parts.h src/base/log-format.c src/base/log-sink.c \
	include/base/mailbox.h src/base/mailbox.c \
	include/base/mem.h src/base/mem.c \
	include/base/rapl.h src/base/rapl.c \
	include/base/slice.h src/base/slice.c \
	include/base/team.h src/base/team.c \
	include/base/turn.h src/base/turn.c \
	include/base/utf8.h src/base/utf8.c

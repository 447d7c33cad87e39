# The real daemon, driven from outside.

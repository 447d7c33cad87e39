# One program for each module: check_<module>.  Each block stands alone.
